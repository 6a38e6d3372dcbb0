//! The catalog `sheaf`: what is stored is in its schema `public`, what is known of it in `system`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use datafusion::catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider};
use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::prelude::SessionContext;
use sheaf_store::Client;
use sheaf_store::sql::{CATALOG, PUBLIC, SYSTEM};

use crate::error::external;
use crate::known::Known;
use crate::snapshot::Snapshot;
use crate::system::System;

/// Adds the catalog `sheaf` to a context of your own: `select … from sheaf.public.flights`.
///
/// Tables are read where they lie. Each statement asks the store for its tables when it is planned,
/// one after the other, and keeps them as they are; writing is the store's own engine's.
///
/// # Errors
/// [`sheaf_store::Kind::Unavailable`] when the store is gone.
pub fn register(context: &SessionContext, store: Client) -> sheaf_store::Result<()> {
    store.stat()?;
    let own = store.clone();
    let known = Known::start(move || Ok(own.clone()));
    let source = Source::Live { client: store, known };
    context.register_catalog(CATALOG, Arc::new(Catalog::new(source, Tables::default(), None)));
    Ok(())
}

/// Tables of a session's own, by name: external ones.
pub(crate) type Tables = Arc<Mutex<HashMap<String, Arc<dyn TableProvider>>>>;

/// Where tables come from.
#[derive(Clone)]
pub(crate) enum Source {
    /// A statement's own moment.
    Pinned(Snapshot),
    /// Whatever there is when it is asked.
    Live { client: Client, known: Known },
}

impl Source {
    fn snapshot(&self) -> Snapshot {
        match self {
            Self::Pinned(snapshot) => snapshot.clone(),
            Self::Live { client, known } => Snapshot::new(client.clone(), known.clone()),
        }
    }
}

/// The one catalog of an engine's statement.
#[derive(Debug)]
pub(crate) struct OneCatalog(pub(crate) Arc<dyn CatalogProvider>);

impl CatalogProviderList for OneCatalog {
    fn register_catalog(
        &self,
        _: String,
        _: Arc<dyn CatalogProvider>,
    ) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        vec![CATALOG.into()]
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        (name == CATALOG).then(|| self.0.clone())
    }
}

/// The catalog `sheaf`.
#[derive(Debug)]
pub(crate) struct Catalog {
    public: Arc<Public>,
    system: Arc<System>,
}

impl Catalog {
    /// `settings` are what `sheaf.system.settings` shows.
    pub(crate) fn new(
        source: Source,
        own: Tables,
        settings: Option<Vec<(String, String, String)>>,
    ) -> Self {
        let client = source.snapshot().client().clone();
        let system = System::new(client, settings.unwrap_or_default());
        Self { public: Arc::new(Public { source, own }), system: Arc::new(system) }
    }
}

impl CatalogProvider for Catalog {
    fn schema_names(&self) -> Vec<String> {
        vec![PUBLIC.into(), SYSTEM.into()]
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        match name {
            PUBLIC => Some(self.public.clone()),
            SYSTEM => Some(self.system.clone()),
            _ => None,
        }
    }
}

/// The stored tables, and those of the session.
struct Public {
    source: Source,
    own: Tables,
}

impl std::fmt::Debug for Public {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the stored tables")
    }
}

impl Public {
    fn own(&self, name: &str) -> Option<Arc<dyn TableProvider>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }
}

#[async_trait]
impl SchemaProvider for Public {
    fn table_names(&self) -> Vec<String> {
        // No error can be told here: whoever asks for one of them hears what is wrong.
        let mut names = self.source.snapshot().names().unwrap_or_default();
        names.extend(self.own.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned());
        names.sort();
        names.dedup();
        names
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if let Some(own) = self.own(name) {
            return Ok(Some(own));
        }
        let found = self.source.snapshot().table(name).map_err(external)?;
        Ok(found.map(|stored| stored as Arc<dyn TableProvider>))
    }

    fn register_table(
        &self,
        name: String,
        _: Arc<dyn TableProvider>,
    ) -> Result<Option<Arc<dyn TableProvider>>> {
        exec_err!("{name} can't be registered: put it into the store")
    }

    fn table_exist(&self, name: &str) -> bool {
        self.own(name).is_some() || matches!(self.source.snapshot().table(name), Ok(Some(_)))
    }
}

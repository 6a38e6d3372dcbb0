//! The tables that one statement reads: all as they are at one moment, whatever becomes of their
//! names.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sheaf_store::{Client, Error, Kind, Name, Object, ObjectKind, Result, State};

use crate::known::Known;
use crate::stored::Stored;

/// The most names that can be asked for at one moment.
const AT_ONCE: usize = 128;

/// Tables that are held, by name. A name that was asked for once means the same from then on.
#[derive(Clone)]
pub(crate) struct Snapshot {
    client: Client,
    known: Known,
    tables: Arc<Mutex<HashMap<String, Option<Arc<Stored>>>>>,
}

impl Snapshot {
    pub(crate) fn new(client: Client, known: Known) -> Self {
        Self { client, known, tables: Arc::default() }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    fn tables(&self) -> MutexGuard<'_, HashMap<String, Option<Arc<Stored>>>> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes hold of these tables, all at one moment if they are 128 at the most.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the store is gone. That there is no such table is none.
    pub(crate) fn pin(&self, names: &[String]) -> Result<()> {
        let unknown: Vec<&String> =
            names.iter().filter(|name| !self.tables().contains_key(*name)).collect();
        // What is no name of an object is no table's.
        let asked: Vec<(&String, Name)> = unknown
            .into_iter()
            .filter_map(|name| Some((name, Name::new(name.as_bytes()).ok()?)))
            .collect();
        for chunk in asked.chunks(AT_ONCE) {
            let names: Vec<Name> = chunk.iter().map(|(_, name)| name.clone()).collect();
            let found = self.client.get_together(&names)?;
            for ((name, _), object) in chunk.iter().zip(found) {
                let stored = self.stored(object)?;
                self.tables().insert((*name).clone(), stored);
            }
        }
        Ok(())
    }

    /// The table of this name.
    ///
    /// # Errors
    /// As [`pin`](Self::pin).
    pub(crate) fn table(&self, name: &str) -> Result<Option<Arc<Stored>>> {
        if let Some(known) = self.tables().get(name) {
            return Ok(known.clone());
        }
        self.pin(&[name.to_owned()])?;
        Ok(self.tables().get(name).cloned().flatten())
    }

    fn stored(&self, object: Result<Object>) -> Result<Option<Arc<Stored>>> {
        let object = match object {
            Ok(object) => object,
            Err(error) if error.kind() == Kind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if object.info().kind != ObjectKind::Table {
            return Ok(None);
        }
        let table = object.table()?;
        let statistics = self.known.of(&table);
        Ok(Some(Arc::new(Stored::new(table, statistics))))
    }

    /// The names of all tables, in order; those that are no text are left out.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the store is gone.
    pub(crate) fn names(&self) -> Result<Vec<String>> {
        let infos = self.client.list(b"", false)?;
        let tables = infos
            .into_iter()
            .filter(|info| info.kind == ObjectKind::Table && info.state == State::Sealed);
        Ok(tables.filter_map(|info| text_of(&info.name)).collect())
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Snapshot of {:?}", self.client)
    }
}

/// The name as SQL has it, if it is text.
pub(crate) fn text_of(name: &Name) -> Option<String> {
    std::str::from_utf8(name.as_bytes()).ok().map(str::to_owned)
}

/// The name of an object that a table has.
///
/// # Errors
/// [`Kind::Invalid`] when an object can't have it.
pub(crate) fn name_of(table: &str) -> Result<Name> {
    Name::new(table.as_bytes())
        .map_err(|error| Error::new(Kind::Invalid, format!("{table} is no table's name: {error}")))
}

//! A session: settings, and external tables, that last as long as their client.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use datafusion::prelude::SessionConfig;
use sheaf_store::sql::{
    self, CATALOG, Described, Door, Later, PUBLIC, Question, SYSTEM, Statement,
};
use sheaf_store::{Error, Kind, Result};

use crate::catalog::{Catalog, OneCatalog, Source, Tables};
use crate::engine::Shared;
use crate::error;
use crate::options::SheafOptions;
use crate::plan;
use crate::snapshot::Snapshot;
use crate::stop::Stop;

/// Options that a session may set: what they begin with.
const ALLOWED: [&str; 6] = [
    "sheaf.",
    "datafusion.execution.",
    "datafusion.explain.",
    "datafusion.format.",
    "datafusion.optimizer.",
    "datafusion.sql_parser.",
];

/// How long a statement may be planned, whatever time it has.
const LEAST_PLANNING: Duration = Duration::from_secs(1);

/// The greatest values of options with which a session could take more than its share.
const BOUNDED: [(&str, u64); 4] = [
    ("datafusion.execution.batch_size", 64 << 10),
    ("datafusion.execution.target_partitions", 64),
    ("datafusion.execution.planning_concurrency", 64),
    ("datafusion.execution.meta_fetch_concurrency", 64),
];

/// A client's session.
pub(crate) struct SqlSession(Arc<Inner>);

/// What a session's statements share.
pub(crate) struct Inner {
    pub(crate) engine: Arc<Shared>,
    door: Door,
    settings: Mutex<Settings>,
    /// External tables.
    pub(crate) own: Tables,
}

struct Settings {
    config: SessionConfig,
    /// What was set, as it was.
    set: BTreeMap<String, String>,
}

impl SqlSession {
    pub(crate) fn new(engine: Arc<Shared>, door: Door) -> Self {
        let config = first_config(&engine, door);
        let settings = Mutex::new(Settings { config, set: BTreeMap::new() });
        Self(Arc::new(Inner { engine, door, settings, own: Tables::default() }))
    }
}

fn first_config(engine: &Shared, door: Door) -> SessionConfig {
    // Many clients of Flight SQL know no views.
    let expands = door == Door::Far;
    engine.config().set_bool("datafusion.optimizer.expand_views_at_output", expands)
}

impl Inner {
    fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A moment of the store, for one statement.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the store is not there.
    pub(crate) fn snapshot(&self) -> Result<Snapshot> {
        Ok(Snapshot::new(self.engine.client()?, self.engine.known.clone()))
    }

    /// The state of a statement that reads these tables.
    pub(crate) fn state(
        &self,
        snapshot: Snapshot,
    ) -> datafusion::execution::session_state::SessionState {
        let config = self.settings().config.clone();
        let told = self.told(&config);
        let mut state = self.engine.state(config);
        let catalog = Catalog::new(Source::Pinned(snapshot), self.own.clone(), Some(told));
        state.register_catalog_list(Arc::new(OneCatalog(Arc::new(catalog))));
        state
    }

    /// What `sheaf.system.settings` shows: the operator's limits, and what the session set.
    fn told(&self, config: &SessionConfig) -> Vec<(String, String, String)> {
        let options = &self.engine.options;
        let own = config.options().extensions.get::<SheafOptions>();
        let (timeout_ms, memory_bytes) =
            own.map_or((0, 0), |own| (own.timeout_ms, own.memory_bytes));
        let limit = options.timeout.map_or("none".into(), |limit| limit.as_millis().to_string());
        let running = self.engine.num_running();
        let settings: [(&str, String, &str); 11] = [
            ("sheaf.memory_bytes", memory_bytes.to_string(), "of a statement; 0: the limit's"),
            ("sheaf.timeout_ms", timeout_ms.to_string(), "of a statement; 0: the limit's"),
            ("limit.folders", self.engine.files.told(), "whose files statements may touch"),
            ("limit.memory_bytes", options.memory_bytes.to_string(), "of all statements"),
            ("limit.spill_bytes", options.spill_bytes.to_string(), "on disk, of all statements"),
            ("limit.spill_folder", options.spill.display().to_string(), "for what does not fit"),
            ("limit.statement_memory_bytes", options.statement_memory().to_string(), "of each"),
            ("limit.threads", options.num_threads().to_string(), "that work"),
            ("limit.timeout_ms", limit, "of each statement"),
            ("used.memory_bytes", self.engine.memory.used().to_string(), "by statements, now"),
            ("used.statements", running.to_string(), "under way"),
        ];
        let known = settings.map(|(name, value, told)| (name.to_owned(), value, told.to_owned()));
        let set = self.settings().set.clone();
        let others = set.into_iter().filter(|(name, _)| !name.starts_with("sheaf."));
        let others = others.map(|(name, value)| (name, value, "set in this session".to_owned()));
        known.into_iter().chain(others).collect()
    }

    /// How long a statement may take.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        let settings = self.settings();
        let own = settings.config.options().extensions.get::<SheafOptions>();
        let own = own.map(|own| own.timeout_ms).filter(|own| *own > 0);
        let own = own.map(Duration::from_millis);
        let limit = self.engine.options.timeout;
        own.into_iter().chain(limit).min()
    }

    /// Sets an option, or sets it back.
    ///
    /// # Errors
    /// As [`sql::Session::set`].
    pub(crate) fn set(&self, name: &str, value: Option<&str>) -> Result<()> {
        let name = known_as(name);
        if !ALLOWED.iter().any(|start| name.starts_with(start)) {
            let allowed = ALLOWED.join(", ");
            let message = format!("{name} can't be set here; what begins with {allowed} can");
            return Err(Error::new(Kind::Denied, message));
        }
        let mut settings = self.settings();
        let mut set = settings.set.clone();
        match value {
            Some(value) => {
                check_bound(&name, value)?;
                set.insert(name.clone(), value.to_owned());
            }
            None => {
                set.remove(&name);
            }
        }
        // From the beginning: what is set back is what it was.
        let mut config = first_config(&self.engine, self.door);
        for (name, value) in &set {
            config.options_mut().set(name, value).map_err(|error| {
                let told = error::of(&error);
                Error::new(told.kind(), format!("{name} can't be {value}: {}", told.message()))
            })?;
        }
        *settings = Settings { config, set };
        Ok(())
    }
}

/// The full name of an option.
fn known_as(name: &str) -> String {
    match name.to_ascii_lowercase().as_str() {
        "timezone" | "time.zone" | "time_zone" => "datafusion.execution.time_zone".into(),
        other => other.to_owned(),
    }
}

fn check_bound(name: &str, value: &str) -> Result<()> {
    let Some((_, most)) = BOUNDED.iter().find(|(bounded, _)| *bounded == name) else {
        return Ok(());
    };
    if value.trim().parse().is_ok_and(|value: u64| (1..=*most).contains(&value)) {
        return Ok(());
    }
    Err(Error::new(Kind::Invalid, format!("{name} is 1 to {most}, not {value}")))
}

impl fmt::Debug for SqlSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session of {:?}", self.0.engine)
    }
}

impl sql::Session for SqlSession {
    fn plan(&self, question: Question) -> Later<Box<dyn Statement>> {
        let inner = self.0.clone();
        // What is constant is computed in the plan: that may take long. But whoever has set a time
        // that is too short must be able to set another.
        let limit = self.0.timeout().map(|limit| limit.max(LEAST_PLANNING));
        self.0.engine.run_apart(limit, async move {
            let statement = plan::plan(inner, question).await?;
            Ok(Box::new(statement) as Box<dyn Statement>)
        })
    }

    fn tables(&self, with_columns: bool) -> Later<Vec<Described>> {
        let inner = self.0.clone();
        let work = async move { described(&inner, with_columns).await };
        self.0.engine.run(&Stop::default(), self.0.timeout(), work)
    }

    fn set(&self, name: &str, value: Option<&str>) -> Result<()> {
        self.0.set(name, value)
    }

    fn settings(&self) -> Vec<(String, String)> {
        self.0.settings().set.clone().into_iter().collect()
    }
}

/// Every table of the catalog, in order.
async fn described(inner: &Inner, with_columns: bool) -> Result<Vec<Described>> {
    let state = inner.state(inner.snapshot()?);
    let catalogs = state.catalog_list();
    let mut all = Vec::new();
    for (schema, kind) in [(PUBLIC, "TABLE"), (SYSTEM, "SYSTEM TABLE")] {
        let catalog = catalogs.catalog(CATALOG);
        let Some(tables) = catalog.and_then(|catalog| catalog.schema(schema)) else { continue };
        for name in tables.table_names() {
            let columns = match with_columns {
                true => match tables.table(&name).await.map_err(|error| error::of(&error))? {
                    Some(table) => table.schema(),
                    None => continue, // It went in this moment.
                },
                false => Arc::new(arrow_schema::Schema::empty()),
            };
            all.push(Described { schema: schema.into(), name, kind, columns });
        }
    }
    Ok(all)
}

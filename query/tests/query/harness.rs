//! A store with an engine, and the questions that tests ask it.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt64Type;
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_cast::pretty::pretty_format_batches;
use sheaf_query::{EngineOptions, SqlEngine};
use sheaf_store::sql::{Door, Engine, Question, Session};
use sheaf_store::{Client, PutOptions, Result, ServeOptions, Server, Table};

pub(crate) const MIB: u64 = 1 << 20;

/// A store that answers SQL.
pub(crate) struct House {
    pub(crate) client: Client,
    pub(crate) engine: Arc<SqlEngine>,
    pub(crate) folder: tempfile::TempDir,
    server: Server,
}

impl House {
    pub(crate) fn new() -> Self {
        Self::with(256 * MIB, |_, _| {})
    }

    /// With options that are told the house's own folder.
    pub(crate) fn with(
        memory_bytes: u64,
        change: impl FnOnce(&mut EngineOptions, &std::path::Path),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = ServeOptions::new(folder.path().join("store.sock"), memory_bytes);
        let url = format!("unix:{}", options.socket.display());
        let mut how = EngineOptions::new(256 * MIB);
        how.threads = 2;
        change(&mut how, folder.path());
        let engine = Arc::new(SqlEngine::new(&url, how).unwrap());
        options.engine = Some(engine.clone());
        let server = Server::spawn(options).unwrap();
        let client = sheaf_store::connect(&server.url()).unwrap();
        Self { client, engine, folder, server }
    }

    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    pub(crate) fn session(&self) -> Arc<dyn Session> {
        self.engine.session(Door::Near)
    }

    pub(crate) fn put(&self, name: &str, columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let options = PutOptions { replace: true, ..PutOptions::default() };
        self.client.put(name, &batch.schema(), std::slice::from_ref(&batch), &options).unwrap();
        batch
    }

    /// A table `name` of `rows` rows: `n` counts, `f` is a tenth of it, `s` one of ten words.
    pub(crate) fn count(&self, name: &str, rows: i64) -> RecordBatch {
        let words = (0..rows).map(|row| format!("word {}", row % 10));
        self.put(
            name,
            vec![
                ("n", Arc::new(Int64Array::from_iter_values(0..rows))),
                (
                    "f",
                    Arc::new(Float64Array::from_iter_values((0..rows).map(|row| row as f64 / 10.))),
                ),
                ("s", Arc::new(StringArray::from_iter_values(words))),
            ],
        )
    }

    pub(crate) fn sql(&self, statement: &str) -> Result<Table> {
        self.client.sql(statement, None)?.table()
    }

    /// The result of a statement as people see it, without the frame.
    pub(crate) fn told(&self, statement: &str) -> String {
        let table = self.sql(statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
        told(&table)
    }

    /// The one number that a statement comes to.
    pub(crate) fn number(&self, statement: &str) -> i64 {
        let table = self.sql(statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
        let batch = table.batch(0).unwrap();
        let column = arrow_cast::cast(batch.column(0), &arrow_schema::DataType::Int64).unwrap();
        column.as_primitive::<arrow_array::types::Int64Type>().value(0)
    }

    /// How many rows a statement says that it wrote.
    pub(crate) fn wrote(&self, statement: &str) -> u64 {
        let table = self.sql(statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
        assert_eq!(table.schema().field(0).name(), "count");
        table.batch(0).unwrap().column(0).as_primitive::<UInt64Type>().value(0)
    }

    /// Waits until statistics of a table are known, and says what `explain` says.
    pub(crate) fn explained(&self, statement: &str, until: &str) -> String {
        for _ in 0..6000 {
            let plan = self.told(&format!("explain {statement}"));
            if plan.contains(until) {
                return plan;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("no «{until}» in\n{}", self.told(&format!("explain {statement}")))
    }
}

pub(crate) fn told(table: &Table) -> String {
    let batches: Vec<_> = table.batches().collect::<Result<_>>().unwrap();
    let text = pretty_format_batches(&batches).unwrap().to_string();
    let lines = text.lines().filter(|line| line.starts_with('|')).map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        cells.join("|")
    });
    lines.skip(1).collect::<Vec<_>>().join("\n")
}

pub(crate) fn question(sql: &str) -> Question {
    Question::new(sql)
}

pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

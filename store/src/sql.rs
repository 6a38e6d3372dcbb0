//! SQL as the doors see it: what an engine promises, whoever it is.
//!
//! The store knows no SQL. Whoever assembles a program gives the server an [`Engine`]
//! ([`ServeOptions::engine`](crate::ServeOptions::engine)), which is a client of the store like any
//! other; both doors hand it what they are asked, and hand out what comes of it.
//!
//! ```text
//! Engine ─ session ─▶ Session ─ plan ─▶ Statement ─┬─ stream ─▶ Batches, as they are computed
//!                                                  └─ object ─▶ Object, mapped by who asked
//! ```

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::client::{Object, Table};
use crate::error::Result;
use crate::object::{Name, PutOptions};

/// The catalog that tables are in.
pub const CATALOG: &str = "sheaf";

/// The schema of stored tables.
pub const PUBLIC: &str = "public";

/// The schema of what is known of them.
pub const SYSTEM: &str = "system";

/// What comes later. Dropped before it has come, it ends the work for it.
pub type Later<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// What answers SQL.
pub trait Engine: fmt::Debug + Send + Sync {
    /// A session: settings, and tables of its own, that last as long as it does.
    fn session(&self, door: Door) -> Arc<dyn Session>;

    /// What there is to know of the dialect.
    fn dialect(&self) -> Dialect;

    /// A large table was sealed: a good time to look at it. Must return at once.
    fn sealed(&self, name: &Name);
}

/// Through which door a session is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Results are mapped: they may have any type that Arrow has.
    Near,
    /// Results are sent to clients of Flight SQL, some of which know no views.
    Far,
}

/// The words of a dialect.
#[derive(Clone, Debug, Default)]
pub struct Dialect {
    /// Keywords beyond those of the SQL standard's first edition.
    pub keywords: Vec<String>,
    /// Functions of numbers.
    pub numeric: Vec<String>,
    /// Functions of strings.
    pub string: Vec<String>,
    /// Functions of dates and times.
    pub datetime: Vec<String>,
    /// All the others.
    pub system: Vec<String>,
}

/// What a client asks.
#[derive(Clone, Debug)]
pub struct Question {
    /// In which words.
    pub text: Text,
    /// The values of its parameters, one column each: the statement is run with each row in turn,
    /// and an insert with all of them at once. None when there are none.
    pub parameters: Option<RecordBatch>,
    /// Whether who asks may change anything.
    pub may_write: bool,
}

impl Question {
    /// A statement without parameters, by somebody who may write.
    pub fn new(sql: impl Into<String>) -> Self {
        Self { text: Text::Sql(sql.into()), parameters: None, may_write: true }
    }
}

/// The words of a question.
#[derive(Clone, Debug)]
pub enum Text {
    /// One statement of SQL.
    Sql(String),
    /// A plan of Substrait, encoded in protobuf.
    Substrait(Bytes),
    /// Rows that are put under a name, as Flight SQL's bulk ingestion does.
    Ingest(Ingest),
}

/// Rows to be put under a name.
#[derive(Clone, Debug)]
pub struct Ingest {
    /// The table.
    pub table: Name,
    /// A table in the store that has them, which has no name.
    pub rows: Table,
    /// What to do when there is no such table.
    pub if_absent: IfAbsent,
    /// What to do when there is one.
    pub if_present: IfPresent,
}

/// What an ingest does when the table is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfAbsent {
    /// Makes it.
    Create,
    /// Fails.
    Fail,
}

/// What an ingest does when the table is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfPresent {
    /// Fails.
    Fail,
    /// Adds the rows behind those that it has.
    Append,
    /// Replaces it.
    Replace,
}

/// A table as a session sees it.
#[derive(Clone, Debug)]
pub struct Described {
    /// `public`, `system`, or `information_schema`.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// `TABLE` or `SYSTEM TABLE`, as JDBC says.
    pub kind: &'static str,
    /// Its columns.
    pub columns: SchemaRef,
}

/// Statements of one client, one after the other or several at a time.
pub trait Session: fmt::Debug + Send + Sync {
    /// Reads a statement, and pins all that it reads: what is replaced or deleted from here on is
    /// still there for it.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind::Invalid) for what is no SQL, or means nothing;
    /// [`Kind::NotFound`](crate::Kind::NotFound) for a table that is not there;
    /// [`Kind::Denied`](crate::Kind::Denied) for what the client may not do.
    fn plan(&self, question: Question) -> Later<Box<dyn Statement>>;

    /// Every table; with its columns if asked.
    fn tables(&self, with_columns: bool) -> Later<Vec<Described>>;

    /// Sets an option, as `set name = value` does; `None` sets it back.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind::Invalid) for an option or a value that there is not;
    /// [`Kind::Denied`](crate::Kind::Denied) for one that is the operator's.
    fn set(&self, name: &str, value: Option<&str>) -> Result<()>;

    /// The options that were set, in order of names.
    fn settings(&self) -> Vec<(String, String)>;
}

/// A statement that was read and not run yet.
pub trait Statement: Send + Sync {
    /// The columns of its result, exactly as the result will have them. What changes something
    /// has one, `count`: how many rows it wrote.
    fn schema(&self) -> &SchemaRef;

    /// Its parameters, a field each, of type null where the statement leaves the type open.
    fn parameters(&self) -> &SchemaRef;

    /// Whether it changes something, if only an option of its session.
    fn is_update(&self) -> bool;

    /// The stored table that is its result as it lies, if that is so.
    fn whole(&self) -> Option<Table>;

    /// Runs it; batches come as they are computed. May be run again, over the same tables.
    fn stream(&self) -> Batches;

    /// Runs it; the result is an object, under a name if one is given.
    ///
    /// # Errors
    /// As [`Batches::next`]; [`Kind::Full`](crate::Kind::Full) and
    /// [`Kind::Exists`](crate::Kind::Exists) as a put. Nothing is left of the result then.
    fn object(&self, into: Option<Destination>) -> Later<Object>;
}

/// Where a result goes.
#[derive(Clone, Debug)]
pub struct Destination {
    /// Its name.
    pub name: Name,
    /// How it is put.
    pub options: PutOptions,
}

/// A result as it is computed. Dropped before its end, it ends the work within a second.
#[derive(Debug)]
pub struct Batches {
    schema: SchemaRef,
    coming: mpsc::Receiver<Result<RecordBatch>>,
    _work: Option<Work>,
}

impl Batches {
    /// What `work` sends, until it ends or this is dropped.
    #[must_use]
    pub fn new(
        schema: SchemaRef,
        coming: mpsc::Receiver<Result<RecordBatch>>,
        work: Option<Work>,
    ) -> Self {
        Self { schema, coming, _work: work }
    }

    /// The columns of every batch.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The next batch; none at the end.
    ///
    /// # Errors
    /// Whatever ended the work: [`Kind::Full`](crate::Kind::Full) when it needs more memory than it
    /// may take, [`Kind::Timeout`](crate::Kind::Timeout) at the time limit,
    /// [`Kind::Invalid`](crate::Kind::Invalid) for values that can't be computed with. Nothing
    /// comes after it.
    pub async fn next(&mut self) -> Option<Result<RecordBatch>> {
        self.coming.recv().await
    }

    /// The same for who polls by hand.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<RecordBatch>>> {
        self.coming.poll_recv(cx)
    }
}

/// A task that ends when nobody waits for it any more.
#[derive(Debug)]
pub struct Work {
    task: tokio::task::AbortHandle,
    /// Told as well: a task can't be ended between two places where it yields.
    stop: Option<Arc<AtomicBool>>,
}

impl Work {
    /// Work that ends with what this returns; `stop` is set then, for work that looks at it.
    #[must_use]
    pub fn new(task: tokio::task::AbortHandle, stop: Option<Arc<AtomicBool>>) -> Self {
        Self { task, stop }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Some(stop) = &self.stop {
            stop.store(true, Ordering::Relaxed);
        }
        self.task.abort();
    }
}

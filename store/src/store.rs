//! What both doors have in common: object-safe, in the words of the near door's [`Client`].
//!
//! The near door implements it here, the far door in `sheaf_flight`. Code written against it works
//! with either, and [`crate::conformance`] holds both to the same promises. What only shared memory
//! can do (drafts written in place, watches) is the near door's own.

use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use crate::client::{Client, Object, Stat, TableWriter};
use crate::error::Result;
use crate::object::{Info, PutOptions};

/// A store, whichever door leads to it.
pub trait Store: Send + Sync {
    /// Puts a table.
    ///
    /// # Errors
    /// As [`Client::put`].
    fn put(
        &self,
        name: &[u8],
        schema: &SchemaRef,
        batches: &[RecordBatch],
        options: &PutOptions,
    ) -> Result<Info>;

    /// Puts opaque bytes.
    ///
    /// # Errors
    /// As [`Client::put_bytes`].
    fn put_bytes(&self, name: &[u8], bytes: &[u8], options: &PutOptions) -> Result<Info>;

    /// A table whose length is not known yet, written batch by batch.
    ///
    /// # Errors
    /// As [`Client::writer`]. Over the far door they may come later: from a write, or at the end.
    fn writer(
        &self,
        name: &[u8],
        schema: &SchemaRef,
        options: &PutOptions,
    ) -> Result<Box<dyn Writer>>;

    /// The sealed object of this name, at once.
    ///
    /// # Errors
    /// As [`Client::get`].
    fn get(&self, name: &[u8]) -> Result<Object> {
        self.get_timeout(name, Duration::ZERO)
    }

    /// The sealed object of this name, waiting for it up to `timeout`.
    ///
    /// # Errors
    /// As [`Client::get_timeout`].
    fn get_timeout(&self, name: &[u8], timeout: Duration) -> Result<Object>;

    /// Gets several objects, waiting for all of them up to `timeout`.
    ///
    /// # Errors
    /// As [`Client::get_many`].
    fn get_many(&self, names: &[&[u8]], timeout: Duration) -> Result<Vec<Result<Object>>>;

    /// Waits until the object is sealed, without getting it.
    ///
    /// # Errors
    /// As [`Client::wait`].
    fn wait(&self, name: &[u8], timeout: Duration) -> Result<Info>;

    /// What the store knows of an object or a draft; with who holds it, if asked.
    ///
    /// # Errors
    /// As [`Client::info`].
    fn info(&self, name: &[u8], holders: bool) -> Result<Info>;

    /// What there is under a prefix, in order of names, without user metadata; with who holds it,
    /// if asked.
    ///
    /// # Errors
    /// As [`Client::list`].
    fn list(&self, prefix: &[u8], holders: bool) -> Result<Vec<Info>>;

    /// Unbinds a name.
    ///
    /// # Errors
    /// As [`Client::delete`].
    fn delete(&self, name: &[u8]) -> Result<()>;

    /// Drops droppable objects that nobody holds until `bytes` are free; how many that freed.
    ///
    /// # Errors
    /// As [`Client::evict`].
    fn evict(&self, bytes: u64) -> Result<u64>;

    /// Asks a statement of the store's SQL engine; the result is an object, under a name if one is
    /// given.
    ///
    /// # Errors
    /// As [`Client::sql`].
    fn sql(&self, statement: &str, into: Option<(&[u8], &PutOptions)>) -> Result<Object>;

    /// The store's counters.
    ///
    /// # Errors
    /// As [`Client::stat`].
    fn stat(&self) -> Result<Stat>;
}

/// Writes a table batch by batch. Nothing is left of one that is dropped unfinished.
pub trait Writer: Send {
    /// Writes a batch.
    ///
    /// # Errors
    /// As [`TableWriter::write`].
    fn write(&mut self, batch: &RecordBatch) -> Result<()>;

    /// The bytes written so far.
    fn nbytes(&self) -> u64;

    /// Seals the table.
    ///
    /// # Errors
    /// As [`TableWriter::finish`].
    fn finish(self: Box<Self>) -> Result<Info>;

    /// Ends the table unsealed.
    ///
    /// # Errors
    /// As [`TableWriter::abort`].
    fn abort(self: Box<Self>) -> Result<()>;
}

impl Store for Client {
    fn put(
        &self,
        name: &[u8],
        schema: &SchemaRef,
        batches: &[RecordBatch],
        options: &PutOptions,
    ) -> Result<Info> {
        self.put(name, schema, batches, options)
    }

    fn put_bytes(&self, name: &[u8], bytes: &[u8], options: &PutOptions) -> Result<Info> {
        self.put_bytes(name, bytes, options)
    }

    fn writer(
        &self,
        name: &[u8],
        schema: &SchemaRef,
        options: &PutOptions,
    ) -> Result<Box<dyn Writer>> {
        Ok(Box::new(self.writer(name, schema, options)?))
    }

    fn get_timeout(&self, name: &[u8], timeout: Duration) -> Result<Object> {
        self.get_timeout(name, timeout)
    }

    fn get_many(&self, names: &[&[u8]], timeout: Duration) -> Result<Vec<Result<Object>>> {
        self.get_many(names, timeout)
    }

    fn wait(&self, name: &[u8], timeout: Duration) -> Result<Info> {
        self.wait(name, timeout)
    }

    fn info(&self, name: &[u8], holders: bool) -> Result<Info> {
        self.info(name, holders)
    }

    fn list(&self, prefix: &[u8], holders: bool) -> Result<Vec<Info>> {
        self.list(prefix, holders)
    }

    fn delete(&self, name: &[u8]) -> Result<()> {
        self.delete(name)
    }

    fn evict(&self, bytes: u64) -> Result<u64> {
        self.evict(bytes)
    }

    fn sql(&self, statement: &str, into: Option<(&[u8], &PutOptions)>) -> Result<Object> {
        self.sql(statement, into)
    }

    fn stat(&self) -> Result<Stat> {
        self.stat()
    }
}

impl Writer for TableWriter {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.write(batch)
    }

    fn nbytes(&self) -> u64 {
        self.nbytes()
    }

    fn finish(self: Box<Self>) -> Result<Info> {
        (*self).finish()
    }

    fn abort(self: Box<Self>) -> Result<()> {
        (*self).abort()
    }
}

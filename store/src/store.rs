//! What both doors have in common: batch-level, object-safe, small.
//!
//! The near door implements it here; the far door will. Code written against it works with
//! either, and [`crate::conformance`] holds both to the same promises.

use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use crate::client::{Client, Object};
use crate::error::Result;
use crate::object::{Info, PutOptions};

/// A store, whichever door leads to it.
pub trait Store: Send + Sync {
    /// Puts a table.
    ///
    /// # Errors
    /// As [`Client::put`].
    fn put_table(
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
    fn put_opaque(&self, name: &[u8], bytes: &[u8], options: &PutOptions) -> Result<Info>;

    /// Gets several objects, waiting for all of them up to `timeout`.
    ///
    /// # Errors
    /// As [`Client::get_many`].
    fn get_all(&self, names: &[&[u8]], timeout: Duration) -> Result<Vec<Result<Object>>>;

    /// Waits until the object is sealed.
    ///
    /// # Errors
    /// As [`Client::wait`].
    fn wait_for(&self, name: &[u8], timeout: Duration) -> Result<Info>;

    /// What there is under a prefix.
    ///
    /// # Errors
    /// As [`Client::list`].
    fn list_all(&self, prefix: &[u8]) -> Result<Vec<Info>>;

    /// Unbinds a name.
    ///
    /// # Errors
    /// As [`Client::delete`].
    fn remove(&self, name: &[u8]) -> Result<()>;
}

impl Store for Client {
    fn put_table(
        &self,
        name: &[u8],
        schema: &SchemaRef,
        batches: &[RecordBatch],
        options: &PutOptions,
    ) -> Result<Info> {
        self.put(name, schema, batches, options)
    }

    fn put_opaque(&self, name: &[u8], bytes: &[u8], options: &PutOptions) -> Result<Info> {
        self.put_bytes(name, bytes, options)
    }

    fn get_all(&self, names: &[&[u8]], timeout: Duration) -> Result<Vec<Result<Object>>> {
        self.get_many(names, timeout)
    }

    fn wait_for(&self, name: &[u8], timeout: Duration) -> Result<Info> {
        self.wait(name, timeout)
    }

    fn list_all(&self, prefix: &[u8]) -> Result<Vec<Info>> {
        self.list(prefix, false)
    }

    fn remove(&self, name: &[u8]) -> Result<()> {
        self.delete(name)
    }
}

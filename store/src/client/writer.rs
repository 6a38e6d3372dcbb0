//! Tables of unknown length: batches as they come, each written once, sealed at the end.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use sheaf_ipc::{Encoder, Part};

use super::Client;
use super::growing::GrowingDraft;
use crate::error::Result;
use crate::object::{Info, ObjectKind, PutOptions};

/// Writes a table batch by batch. Aborts when dropped unfinished.
pub struct TableWriter {
    draft: GrowingDraft,
    encoder: Encoder,
}

impl Client {
    /// A table whose length is not known yet.
    ///
    /// # Errors
    /// As [`Client::put`].
    pub fn writer(
        &self,
        name: impl AsRef<[u8]>,
        schema: &SchemaRef,
        options: &PutOptions,
    ) -> Result<TableWriter> {
        let encoder = Encoder::new(schema.clone())?;
        let draft = self.grow(name, ObjectKind::Table, options)?;
        let start = encoder.start();
        let mut writer = TableWriter { draft, encoder };
        writer.append(&start, true)?;
        Ok(writer)
    }
}

impl TableWriter {
    /// The schema that every batch must have.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        self.encoder.schema()
    }

    /// The bytes written so far.
    #[must_use]
    pub fn nbytes(&self) -> u64 {
        self.draft.written() as u64
    }

    /// Makes room for this many bytes more, so that a store without it says so before they are
    /// written. What is not used goes back when the table is finished.
    ///
    /// # Errors
    /// [`Kind::Full`](crate::Kind::Full) when the store has no room for them. What was written
    /// before stays.
    pub fn reserve(&mut self, bytes: u64) -> Result<()> {
        self.draft.reserve(bytes)
    }

    /// Writes a batch: one copy, into the table's final memory.
    ///
    /// # Errors
    /// [`Kind::Full`](crate::Kind::Full) when the store has no room for it;
    /// [`Kind::Invalid`](crate::Kind::Invalid) when its columns are not the schema's. What was
    /// written before stays, and may still be finished.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let part = self.encoder.push(batch)?;
        self.append(&part, true).inspect_err(|_| self.encoder.take_back())
    }

    /// Seals the table.
    ///
    /// # Errors
    /// [`Kind::Full`](crate::Kind::Full) when there is no room for its footer;
    /// [`Kind::Unavailable`](crate::Kind::Unavailable) when the store is gone. The draft ends then.
    pub fn finish(mut self) -> Result<Info> {
        let schema = self.encoder.schema().clone();
        let encoder = std::mem::replace(&mut self.encoder, Encoder::new(schema)?);
        let part = encoder.finish()?;
        self.append(&part, false)?;
        self.draft.seal()
    }

    /// Ends the table unsealed: nobody gets it, and who waits for it learns so at once.
    ///
    /// # Errors
    /// [`Kind::Unavailable`](crate::Kind::Unavailable) when the store is gone.
    pub fn abort(self) -> Result<()> {
        self.draft.abort()
    }

    fn append(&mut self, part: &Part, ahead: bool) -> Result<()> {
        part.fill(self.draft.extend(part.len(), ahead)?);
        Ok(())
    }
}

//! Tables of unknown length: batches as they come, each written once, sealed at the end.

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use sheaf_ipc::{Encoder, Part};

use super::Client;
use super::draft::DraftCore;
use crate::error::{Error, Kind, Result};
use crate::object::{Info, ObjectKind, PutOptions};

/// The least by which a draft grows, in bytes.
const LEAST_GROWTH: u64 = 1 << 20;

/// The most that a draft asks for ahead of need, in bytes.
const MOST_GROWTH: u64 = 256 << 20;

/// Writes a table batch by batch. Aborts when dropped unfinished.
pub struct TableWriter {
    core: DraftCore,
    encoder: Encoder,
    written: usize,
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
        let core = DraftCore::create(self, name, ObjectKind::Table, 0, options)?;
        let start = encoder.start();
        let mut writer = TableWriter { core, encoder, written: 0 };
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
        self.written as u64
    }

    /// Writes a batch: one copy, into the table's final memory.
    ///
    /// # Errors
    /// [`Kind::Full`] when the store has no room for it; [`Kind::Invalid`] when its columns are
    /// not the schema's. What was written before stays, and may still be finished.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let part = self.encoder.push(batch)?;
        self.append(&part, true).inspect_err(|_| self.encoder.take_back())
    }

    /// Seals the table.
    ///
    /// # Errors
    /// [`Kind::Full`] when there is no room for its footer; [`Kind::Unavailable`] when the store
    /// is gone. The draft ends then.
    pub fn finish(mut self) -> Result<Info> {
        let schema = self.encoder.schema().clone();
        let encoder = std::mem::replace(&mut self.encoder, Encoder::new(schema)?);
        let part = encoder.finish()?;
        self.append(&part, false)?;
        self.core.seal(self.written)
    }

    /// Ends the table unsealed: nobody gets it, and who waits for it learns so at once.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the store is gone.
    pub fn abort(self) -> Result<()> {
        self.core.abort()
    }

    fn append(&mut self, part: &Part, ahead: bool) -> Result<()> {
        let end = self.written + part.len();
        self.reserve(end as u64, ahead)?;
        part.fill(&mut self.core.bytes_mut()[self.written..end]);
        self.written = end;
        Ok(())
    }

    /// Makes room for `end` bytes: more than that while there is plenty, so that a long stream
    /// asks seldom.
    fn reserve(&mut self, end: u64, ahead: bool) -> Result<()> {
        let room = self.core.len() as u64;
        if end <= room {
            return Ok(());
        }
        let generous = end + room.clamp(LEAST_GROWTH, MOST_GROWTH);
        let small = self.core.link().welcome.small_bytes;
        if ahead && end > small {
            match self.core.reserve(generous) {
                Err(error) if error.kind() == Kind::Full => {}
                outcome => return outcome,
            }
        }
        self.core.reserve(end).map_err(|error| match error.kind() {
            Kind::Full => Error::new(
                Kind::Full,
                format!("{error} ({} bytes are written already)", self.written),
            ),
            _ => error,
        })
    }
}

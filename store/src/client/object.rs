//! What a get returns: bytes in shared memory, and tables whose batches point into them.
//!
//! An [`Object`], its [`Table`]s and every array made from them share one hold. When the last of
//! them goes, the hold goes back to the store.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_schema::SchemaRef;

use super::link::Link;
use crate::error::{Error, Kind, Result};
use crate::memory::{self, ReadMap};
use crate::object::{Info, ObjectKind};

/// One hold of one object; given back on drop, after the mapping it stands for.
pub(super) struct Hold {
    pub(super) link: Arc<Link>,
    pub(super) object: u64,
    pub(super) container: u64,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.link.release(self.object, self.container);
    }
}

impl std::panic::RefUnwindSafe for Hold {}

/// A sealed object, held. Cheap to clone.
#[derive(Clone)]
pub struct Object {
    info: Arc<Info>,
    buffer: Buffer,
    mapped: bool,
}

impl Object {
    pub(super) fn mapped(info: Info, map: Arc<ReadMap>, offset: u64, hold: Hold) -> Result<Self> {
        let buffer = memory::buffer(map, offset, info.bytes, hold).ok_or_else(|| {
            let message = format!("object {} lies outside its container", info.name);
            Error::new(Kind::Internal, message)
        })?;
        Ok(Self { info: Arc::new(info), buffer, mapped: true })
    }

    pub(super) fn inline(info: Info, bytes: &[u8]) -> Self {
        Self { info: Arc::new(info), buffer: memory::aligned(bytes), mapped: false }
    }

    /// What the store knew of it when it was got.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// The object's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// The object's bytes as a buffer that keeps them.
    #[must_use]
    pub fn buffer(&self) -> &Buffer {
        &self.buffer
    }

    /// The addresses the object is mapped at; `None` for a tiny one, which came in the message.
    #[must_use]
    pub fn mapped_range(&self) -> Option<Range<usize>> {
        let start = self.buffer.as_ptr() as usize;
        self.mapped.then(|| start..start + self.buffer.len())
    }

    /// The object as a table.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when it is opaque bytes.
    pub fn table(&self) -> Result<Table> {
        if self.info.kind != ObjectKind::Table {
            let message = format!(
                "object {} is opaque bytes, not a table: read it with as_bytes",
                self.info.name
            );
            return Err(Error::new(Kind::Invalid, message));
        }
        // SAFETY: the store checks every table in full at seal, before anyone can get it, and
        // sealed bytes never change (invariant 1).
        let file = unsafe { sheaf_ipc::File::open_trusted(self.buffer.clone()) }?;
        Ok(Table { object: self.clone(), file })
    }
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Info { name, kind, bytes, .. } = &*self.info;
        write!(f, "Object({name}, {kind}, {bytes} bytes)")
    }
}

/// A table in the store: batches decoded on demand, their buffers in the mapping. Cheap to clone.
#[derive(Clone)]
pub struct Table {
    object: Object,
    file: sheaf_ipc::File,
}

impl Table {
    /// The table's schema.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        self.file.schema()
    }

    /// Rows in all batches.
    #[must_use]
    pub fn num_rows(&self) -> u64 {
        self.file.num_rows()
    }

    /// Record batches.
    #[must_use]
    pub fn num_batches(&self) -> usize {
        self.file.num_batches()
    }

    /// The bytes of the whole table, as they lie in the store.
    #[must_use]
    pub fn nbytes(&self) -> u64 {
        self.object.info.bytes
    }

    /// One batch.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when there is no such batch.
    pub fn batch(&self, index: usize) -> Result<RecordBatch> {
        Ok(self.file.batch(index)?)
    }

    /// All batches, in order.
    pub fn batches(&self) -> impl Iterator<Item = Result<RecordBatch>> + '_ {
        (0..self.num_batches()).map(|index| self.batch(index))
    }

    /// The object that the table is.
    #[must_use]
    pub fn object(&self) -> &Object {
        &self.object
    }

    /// The Arrow IPC file, for its messages and metadata.
    #[must_use]
    pub fn file(&self) -> &sheaf_ipc::File {
        &self.file
    }

    /// As [`Object::mapped_range`].
    #[must_use]
    pub fn mapped_range(&self) -> Option<Range<usize>> {
        self.object.mapped_range()
    }
}

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = &self.object.info.name;
        write!(f, "Table({name}, {} rows, {} batches)", self.num_rows(), self.num_batches())
    }
}

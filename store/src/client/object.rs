//! What a get returns: bytes in shared memory, and tables whose batches point into them.
//!
//! An [`Object`], its [`Table`]s and every array made from them share one hold. When the last of
//! them goes, the hold goes back to the store.

use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, OnceLock, Weak};

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
pub struct Object(Arc<Opened>);

/// What the handles of one object share: whoever gets it again while one of them lives gets the
/// same.
pub(super) struct Opened {
    info: Info,
    /// The mapping, and where in it the object begins. Before the buffer, so that it goes first:
    /// the hold goes back with the buffer, after the mapping that it stands for.
    source: Option<(Arc<ReadMap>, u64)>,
    buffer: Buffer,
    /// The table, once somebody has asked for it.
    file: OnceLock<sheaf_ipc::File>,
}

impl Object {
    pub(super) fn mapped(info: Info, map: Arc<ReadMap>, offset: u64, hold: Hold) -> Result<Self> {
        let buffer = memory::buffer(map.clone(), offset, info.bytes, hold).ok_or_else(|| {
            let message = format!("object {} lies outside its container", info.name);
            Error::new(Kind::Internal, message)
        })?;
        Ok(Self::new(info, buffer, Some((map, offset))))
    }

    fn new(info: Info, buffer: Buffer, source: Option<(Arc<ReadMap>, u64)>) -> Self {
        Self(Arc::new(Opened { info, source, buffer, file: OnceLock::new() }))
    }

    pub(super) fn again(opened: Arc<Opened>) -> Self {
        Self(opened)
    }

    pub(super) fn downgrade(&self) -> Weak<Opened> {
        Arc::downgrade(&self.0)
    }

    pub(super) fn inline(info: Info, bytes: &[u8]) -> Self {
        Self::new(info, memory::aligned(bytes), None)
    }

    /// An object in this process's own memory, as a client of the far door has it.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when it is to be a table and the bytes are none: they are checked in full.
    pub fn in_memory(info: Info, bytes: Buffer) -> Result<Self> {
        let file = match info.kind {
            ObjectKind::Table => Some(sheaf_ipc::File::open(bytes.clone())?),
            ObjectKind::Bytes => None,
        };
        let object = Self::new(info, bytes, None);
        if let Some(file) = file {
            let _ = object.0.file.set(file);
        }
        Ok(object)
    }

    /// What the store knew of it when it was got.
    #[must_use]
    pub fn info(&self) -> &Info {
        &self.0.info
    }

    /// The object's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.buffer
    }

    /// The object's bytes as a buffer that keeps them.
    #[must_use]
    pub fn buffer(&self) -> &Buffer {
        &self.0.buffer
    }

    /// The addresses the object is mapped at; `None` for a tiny one, which came in the message.
    #[must_use]
    pub fn mapped_range(&self) -> Option<Range<usize>> {
        let Opened { buffer, source, .. } = &*self.0;
        let start = buffer.as_ptr() as usize;
        source.is_some().then(|| start..start + buffer.len())
    }

    /// A read-only descriptor of the object's file, and where in it the object begins; `None`
    /// unless the client keeps descriptors
    /// ([`ConnectOptions::keep_descriptors`](super::ConnectOptions::keep_descriptors)).
    #[must_use]
    pub fn file(&self) -> Option<(BorrowedFd<'_>, u64)> {
        let (map, offset) = self.0.source.as_ref()?;
        Some((map.file()?, *offset))
    }

    /// The object as a table.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when it is opaque bytes.
    pub fn table(&self) -> Result<Table> {
        if self.0.info.kind != ObjectKind::Table {
            let message = format!(
                "object {} is opaque bytes, not a table: read it with as_bytes",
                self.0.info.name
            );
            return Err(Error::new(Kind::Invalid, message));
        }
        let file = match self.0.file.get() {
            Some(file) => file.clone(),
            None => self.decode()?,
        };
        Ok(Table { object: self.clone(), file })
    }

    fn decode(&self) -> Result<sheaf_ipc::File> {
        // SAFETY: the store checks every table in full at seal, before anyone can get it, and
        // sealed bytes never change (invariant 1).
        let file = unsafe { sheaf_ipc::File::open_trusted(self.0.buffer.clone()) }?;
        Ok(self.0.file.get_or_init(|| file).clone())
    }
}

impl std::fmt::Debug for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Info { name, kind, bytes, .. } = &self.0.info;
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
        self.object.0.info.bytes
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
        let name = &self.object.0.info.name;
        write!(f, "Table({name}, {} rows, {} batches)", self.num_rows(), self.num_batches())
    }
}

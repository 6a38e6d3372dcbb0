//! Drafts: memory that becomes an object.
//!
//! A small draft is heap memory whose bytes travel with the seal. A large one is the object's own
//! shared memory, written in place. [`Memory`] is either, and can grow from one into the other.

use std::sync::Arc;

use arrow_buffer::MutableBuffer;
use bytes::Bytes;

use super::link::{Arrived, Link, unexpected};
use super::{Client, millis};
use crate::error::{Error, Kind, Result};
use crate::memory::{PrivateMap, WriteMap};
use crate::object::{Info, Name, ObjectKind, PutOptions, State};
use crate::protocol::message::{Create, Created, Grow, Label, Reply, Seal, Sealed};

enum Memory {
    /// Aligned as Arrow wants it, so that a column built in place is too.
    Small(MutableBuffer),
    Large(WriteMap),
    /// A large one that the writer has made its own: what is sealed lies at the store.
    Kept {
        len: usize,
    },
}

/// A draft of any kind: what [`Draft`], `TableBuilder` and `TableWriter` are made of.
/// Aborts when dropped unsealed.
pub(super) struct DraftCore {
    link: Arc<Link>,
    object: u64,
    name: Name,
    kind: ObjectKind,
    wait_ms: u64,
    droppable: bool,
    metadata: Vec<u8>,
    memory: Memory,
    sealed: bool,
    /// Room that was asked for ahead of need: the request, and how many bytes it is for in all.
    coming: Option<(u64, u64)>,
}

impl DraftCore {
    pub(super) fn create(
        client: &Client,
        name: impl AsRef<[u8]>,
        kind: ObjectKind,
        bytes: u64,
        options: &PutOptions,
    ) -> Result<Self> {
        let name = Name::new(name)?;
        let label = Label::new(name.clone(), kind, options);
        let (link, arrived) = client.call_once(Create { label, bytes })?;
        let mut draft = Self {
            link,
            object: 0,
            name,
            kind,
            wait_ms: millis(options.wait),
            droppable: options.droppable,
            metadata: options.metadata.clone(),
            memory: Memory::Small(MutableBuffer::new(0)),
            sealed: true, // Nothing to abort until it is known which.
            coming: None,
        };
        draft.take_room(arrived, bytes)?;
        Ok(draft)
    }

    /// Makes room for `bytes` in all; what was written stays.
    pub(super) fn reserve(&mut self, bytes: u64) -> Result<()> {
        self.settle()?;
        if bytes <= self.len() as u64 {
            return Ok(());
        }
        let grow = Grow { object: self.object, bytes, wait_ms: self.wait_ms };
        let arrived = self.link.call(grow)?;
        self.take_room(arrived, bytes)
    }

    /// Asks for room for `bytes` in all and does not wait for it: whoever needs it first does.
    pub(super) fn reserve_ahead(&mut self, bytes: u64) -> Result<()> {
        if self.coming.is_none() && bytes > self.len() as u64 {
            let grow = Grow { object: self.object, bytes, wait_ms: 0 };
            self.coming = Some((self.link.send(&grow.into())?, bytes));
        }
        Ok(())
    }

    /// Takes the room that was asked for ahead of need; if there was none, things are as before.
    fn settle(&mut self) -> Result<()> {
        let Some((request, bytes)) = self.coming.take() else { return Ok(()) };
        match self.link.receive(request) {
            Ok(arrived) => self.take_room(arrived, bytes),
            Err(error) if error.kind() == Kind::Full => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn take_room(&mut self, arrived: Arrived, bytes: u64) -> Result<()> {
        let Reply::Created(Created { object, container, bytes: room }) = arrived.reply else {
            return Err(unexpected(&arrived.reply));
        };
        self.object = object;
        self.sealed = false;
        let len = usize::try_from(if container == 0 { bytes } else { room })
            .map_err(|_| Error::new(Kind::Invalid, "a draft larger than the address space"))?;
        match (&mut self.memory, container, arrived.descriptors.into_iter().next()) {
            (Memory::Small(heap), 0, _) => heap.resize(len, 0),
            (Memory::Small(heap), _, Some(descriptor)) => {
                let mut map = WriteMap::new(descriptor, len)?;
                map.as_mut_slice()[..heap.len()].copy_from_slice(heap.as_slice());
                self.memory = Memory::Large(map);
            }
            (Memory::Large(map), _, _) => map.remap(len)?,
            _ => return Err(Error::new(Kind::Internal, "a large draft came without memory")),
        }
        Ok(())
    }

    /// The room it has, in bytes.
    pub(super) fn len(&self) -> usize {
        match &self.memory {
            Memory::Small(heap) => heap.len(),
            Memory::Large(map) => map.len(),
            Memory::Kept { len } => *len,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match &self.memory {
            Memory::Small(heap) => heap,
            Memory::Large(map) => map.as_slice(),
            Memory::Kept { .. } => &[],
        }
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        match &mut self.memory {
            Memory::Small(heap) => heap,
            Memory::Large(map) => map.as_mut_slice(),
            Memory::Kept { .. } => &mut [],
        }
    }

    pub(super) fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Seals the first `len` bytes.
    pub(super) fn seal(mut self, len: usize) -> Result<Info> {
        self.settle()?;
        let data = match std::mem::replace(&mut self.memory, Memory::Small(MutableBuffer::new(0))) {
            Memory::Small(heap) => Bytes::copy_from_slice(&heap[..len]),
            // Unmapped: the kernel refuses to seal what someone can still write.
            Memory::Large(map) => {
                drop(map);
                Bytes::new()
            }
            Memory::Kept { .. } => Bytes::new(),
        };
        self.finish(len, data)
    }

    /// Makes what the writer sees its own, at the same addresses; the draft can then be sealed or
    /// aborted, and written no more.
    pub(super) fn keep_view(&mut self) -> Result<View> {
        let gone = Memory::Kept { len: self.len() };
        match std::mem::replace(&mut self.memory, gone) {
            Memory::Small(heap) => {
                let mut copy = MutableBuffer::with_capacity(heap.len());
                copy.extend_from_slice(&heap);
                self.memory = Memory::Small(copy);
                Ok(View(ViewMemory::Heap(heap)))
            }
            Memory::Large(map) => Ok(View(ViewMemory::Private(map.into_private()?))),
            Memory::Kept { .. } => {
                Err(Error::new(Kind::Invalid, "the draft's writer has kept its view already"))
            }
        }
    }

    fn finish(&mut self, len: usize, data: Bytes) -> Result<Info> {
        let seal = Seal { object: self.object, len: len as u64, data };
        let arrived = self.link.call(seal)?;
        let Reply::Sealed(sealed) = arrived.reply else { return Err(unexpected(&arrived.reply)) };
        self.sealed = true;
        let facts = Facts {
            name: self.name.clone(),
            kind: self.kind,
            bytes: len as u64,
            droppable: self.droppable,
            metadata: std::mem::take(&mut self.metadata),
        };
        Ok(facts.sealed(&sealed))
    }

    /// Ends the draft; returns when the store has taken its room back.
    pub(super) fn abort(mut self) -> Result<()> {
        let _ = self.settle();
        self.memory = Memory::Small(MutableBuffer::new(0));
        self.sealed = true;
        self.link.call(crate::protocol::message::Abort { object: self.object }).map(|_| ())
    }
}

impl Drop for DraftCore {
    fn drop(&mut self) {
        if let Some((request, _)) = self.coming.take() {
            self.link.forget(request);
        }
        if !self.sealed {
            // Unmapped first: then its memory can go at once.
            self.memory = Memory::Small(MutableBuffer::new(0));
            self.link.abort(self.object);
        }
    }
}

/// What a client knows of an object that it puts; the store's answer makes it an [`Info`].
pub(super) struct Facts {
    pub(super) name: Name,
    pub(super) kind: ObjectKind,
    pub(super) bytes: u64,
    pub(super) droppable: bool,
    pub(super) metadata: Vec<u8>,
}

impl Facts {
    pub(super) fn sealed(self, sealed: &Sealed) -> Info {
        Info {
            name: self.name,
            id: sealed.object,
            kind: self.kind,
            state: State::Sealed,
            bytes: self.bytes,
            charged_bytes: sealed.charged_bytes,
            rows: sealed.rows,
            batches: sealed.batches,
            created_ms: sealed.created_ms,
            sealed_ms: sealed.sealed_ms,
            droppable: self.droppable,
            metadata: self.metadata.into(),
            holders: Vec::new(),
        }
    }
}

/// A bytes object being written in place. Aborts when dropped unsealed.
pub struct Draft {
    core: DraftCore,
}

impl Draft {
    pub(super) fn new(core: DraftCore) -> Self {
        Self { core }
    }

    /// The object's bytes so far.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        self.core.bytes()
    }

    /// The object's bytes, to be written: shared memory when it is large. Zero at first.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        self.core.bytes_mut()
    }

    /// Seals: every process may now read it, none may write.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the store is gone; the draft ends then.
    pub fn seal(self) -> Result<Info> {
        let len = self.core.len();
        self.core.seal(len)
    }

    /// Keeps what the writer sees, at the same addresses, as a private copy-on-write view that can
    /// never reach the shared bytes: for who must not lose sight of them by a seal or an abort,
    /// which is all that can be done to the draft afterwards.
    ///
    /// # Errors
    /// [`Kind::Full`] when the kernel has no room for the mapping: the addresses are then lost.
    pub fn keep_view(&mut self) -> Result<View> {
        self.core.keep_view()
    }

    /// Ends the draft: nobody gets it, and who waits for it learns so at once.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the store is gone.
    pub fn abort(self) -> Result<()> {
        self.core.abort()
    }
}

/// What a writer still sees of a draft that it sealed or aborted: its own copy, made page by page
/// when written.
pub struct View(ViewMemory);

enum ViewMemory {
    Heap(MutableBuffer),
    Private(PrivateMap),
}

impl View {
    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        match &self.0 {
            ViewMemory::Heap(heap) => heap,
            ViewMemory::Private(map) => map.as_slice(),
        }
    }

    /// The bytes, to be written; the sealed object does not change.
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        match &mut self.0 {
            ViewMemory::Heap(heap) => heap,
            ViewMemory::Private(map) => map.as_mut_slice(),
        }
    }
}

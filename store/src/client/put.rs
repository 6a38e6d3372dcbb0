//! Putting: tables and bytes in one step.
//!
//! A small object travels in a message, together with others. A large one is written into its own
//! shared memory with one copy, by several threads when it is worth it.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use bytes::Bytes;

use super::Client;
use super::draft::{Draft, DraftCore, Facts};
use super::link::{Link, unexpected};
use crate::error::{Error, Kind, Result};
use crate::object::{Info, Name, ObjectKind, PutOptions};
use crate::protocol::message::{Label, Put, PutItem, Reply, Sealed};

/// Above this size a copy is shared by several threads, in bytes.
const PARALLEL_BYTES: usize = 32 << 20;

/// The bytes of one put frame, beyond which the next one begins: about a hundred of 1 KiB, so that
/// the store works on one while the next is made.
const FRAME_BYTES: usize = 100 << 10;

/// Put frames that are on their way at once.
const FRAMES_AHEAD: usize = 16;

/// What is put.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    /// Opaque bytes.
    Bytes(&'a [u8]),
    /// A table: its schema and batches.
    Table(&'a SchemaRef, &'a [RecordBatch]),
}

/// One object of a [`Client::put_many`].
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// The object's name.
    pub name: &'a [u8],
    /// What is put.
    pub payload: Payload<'a>,
    /// How.
    pub options: &'a PutOptions,
}

impl Client {
    /// Puts a table: one copy, then every process can map it.
    ///
    /// # Errors
    /// [`Kind::Exists`] unless `replace` is set; [`Kind::Full`] when there is no room, naming who
    /// holds it; [`Kind::Invalid`] when the batches don't fit the schema.
    pub fn put(
        &self,
        name: impl AsRef<[u8]>,
        schema: &SchemaRef,
        batches: &[RecordBatch],
        options: &PutOptions,
    ) -> Result<Info> {
        let payload = Payload::Table(schema, batches);
        self.put_item(&Item { name: name.as_ref(), payload, options })
    }

    /// Puts opaque bytes.
    ///
    /// # Errors
    /// As [`Client::put`].
    pub fn put_bytes(
        &self,
        name: impl AsRef<[u8]>,
        bytes: &[u8],
        options: &PutOptions,
    ) -> Result<Info> {
        self.put_item(&Item { name: name.as_ref(), payload: Payload::Bytes(bytes), options })
    }

    /// A bytes object of this size, to be written in place and sealed.
    ///
    /// # Errors
    /// As [`Client::put`].
    pub fn create(
        &self,
        name: impl AsRef<[u8]>,
        bytes: u64,
        options: &PutOptions,
    ) -> Result<Draft> {
        DraftCore::create(self, name, ObjectKind::Bytes, bytes, options).map(Draft::new)
    }

    fn put_item(&self, item: &Item<'_>) -> Result<Info> {
        let outcome = self.put_many(std::slice::from_ref(item))?.into_iter().next();
        outcome.unwrap_or_else(|| Err(Error::new(Kind::Internal, "a put without an outcome")))
    }

    /// Puts many objects, the small ones together in few messages; one result for each, in order.
    ///
    /// # Errors
    /// For each item as [`Client::put`]; in all [`Kind::Unavailable`] when the store is gone.
    pub fn put_many(&self, items: &[Item<'_>]) -> Result<Vec<Result<Info>>> {
        let small_bytes = self.link()?.welcome.small_bytes;
        let mut outcomes: Vec<Option<Result<Info>>> = items.iter().map(|_| None).collect();
        let mut ahead = VecDeque::new();
        let mut next = Pending::default();
        for (index, item) in items.iter().enumerate() {
            let source = match Source::measure(item.payload) {
                Ok(source) => source,
                Err(error) => {
                    outcomes[index] = Some(Err(error));
                    continue;
                }
            };
            if source.len() as u64 > small_bytes {
                // What comes before it is sent before it.
                if !next.items.is_empty() {
                    ahead.push_back(self.send_pending(&mut next)?);
                }
                outcomes[index] = Some(self.put_large(item, &source));
                continue;
            }
            if let Err(error) = next.add(index, item, &source) {
                outcomes[index] = Some(Err(error));
            }
            if next.is_full() {
                ahead.push_back(self.send_pending(&mut next)?);
            }
            if ahead.len() >= FRAMES_AHEAD
                && let Some(sent) = ahead.pop_front()
            {
                collect(sent, &mut outcomes);
            }
        }
        if !next.items.is_empty() {
            ahead.push_back(self.send_pending(&mut next)?);
        }
        for sent in ahead {
            collect(sent, &mut outcomes);
        }
        Ok(outcomes.into_iter().flatten().collect())
    }

    fn send_pending(&self, next: &mut Pending) -> Result<Sent> {
        let Pending { items, facts, .. } = std::mem::take(next);
        let (link, id) = self.send(&Put { items }.into())?;
        Ok(Sent { link, id, facts })
    }

    fn put_large(&self, item: &Item<'_>, source: &Source<'_>) -> Result<Info> {
        let (kind, len) = (source.kind(), source.len());
        let mut draft = DraftCore::create(self, item.name, kind, len as u64, item.options)?;
        let threads = self.0.options.copy_threads.unwrap_or_else(|| threads(len));
        source.write(&mut draft.bytes_mut()[..len], threads);
        draft.seal(len)
    }
}

/// How many threads copy this much.
fn threads(bytes: usize) -> usize {
    if bytes < PARALLEL_BYTES {
        return 1;
    }
    std::thread::available_parallelism().map_or(1, usize::from).min(4)
}

/// Where an object's bytes come from, measured.
enum Source<'a> {
    Bytes(&'a [u8]),
    Table(sheaf_ipc::Plan),
}

impl<'a> Source<'a> {
    fn measure(payload: Payload<'a>) -> Result<Self> {
        match payload {
            Payload::Bytes(bytes) => Ok(Self::Bytes(bytes)),
            Payload::Table(schema, batches) => {
                Ok(Self::Table(sheaf_ipc::Plan::new(schema, batches)?))
            }
        }
    }

    fn kind(&self) -> ObjectKind {
        match self {
            Self::Bytes(_) => ObjectKind::Bytes,
            Self::Table(_) => ObjectKind::Table,
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Table(plan) => plan.len(),
        }
    }

    fn write(&self, target: &mut [u8], threads: usize) {
        match self {
            Self::Bytes(bytes) => sheaf_ipc::copy_bytes(bytes, target, threads),
            Self::Table(plan) => plan.fill(target, threads),
        }
    }

    fn to_bytes(&self) -> Bytes {
        match self {
            Self::Bytes(bytes) => Bytes::copy_from_slice(bytes),
            Self::Table(plan) => {
                let mut bytes = vec![0; plan.len()];
                plan.fill(&mut bytes, 1);
                Bytes::from(bytes)
            }
        }
    }
}

/// The put frame that is being filled.
#[derive(Default)]
struct Pending {
    items: Vec<PutItem>,
    facts: Vec<(usize, Facts)>,
    bytes: usize,
}

impl Pending {
    fn add(&mut self, index: usize, item: &Item<'_>, source: &Source<'_>) -> Result<()> {
        let name = Name::new(item.name)?;
        let kind = source.kind();
        let data = source.to_bytes();
        self.bytes += data.len() + name.as_bytes().len() + item.options.metadata.len();
        let facts = Facts {
            name: name.clone(),
            kind,
            bytes: data.len() as u64,
            droppable: item.options.droppable,
            metadata: item.options.metadata.clone(),
        };
        self.facts.push((index, facts));
        self.items.push(PutItem { label: Label::new(name, kind, item.options), data });
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.bytes >= FRAME_BYTES || self.items.len() >= crate::server::MAX_ITEMS
    }
}

/// A put frame on its way.
struct Sent {
    link: Arc<Link>,
    id: u64,
    facts: Vec<(usize, Facts)>,
}

fn collect(sent: Sent, outcomes: &mut [Option<Result<Info>>]) {
    let told = sent.link.receive(sent.id).and_then(|arrived| match arrived.reply {
        Reply::Stored(stored) => Ok(stored.items),
        other => Err(unexpected(&other)),
    });
    match told {
        Ok(items) => {
            for ((index, facts), outcome) in sent.facts.into_iter().zip(items) {
                outcomes[index] = Some(outcome.map(|sealed: Sealed| facts.sealed(&sealed)));
            }
        }
        // The others' outcomes are known all the same.
        Err(error) => {
            sent.facts.iter().for_each(|(index, _)| outcomes[*index] = Some(Err(error.clone())));
        }
    }
}

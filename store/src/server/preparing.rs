//! Work that may take long, on the blocking pool: preparing memory, sealing and checking.
//!
//! A hostile client can make its own seal slow (it keeps pages pinned) and nobody else's: each
//! job waits on a thread of its own.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use super::effects;
use super::keeper::{Books, Keeper, Session};
use super::vault::{Entry, Lend};
use crate::error::{Error, Kind, Result};
use crate::memory::{self, Expect, HUGE_PAGE_BYTES, Memfd, Outcome, Probe, ReadMap};
use crate::object::ObjectKind;
use crate::protocol::message::Reply;
use crate::room::{ContainerId, ObjectId, SealOutcome, SealWork};

/// How long to wait before asking for the write seal again: in all about a third of a second.
const SEAL_PAUSES_MS: [u64; 6] = [0, 1, 10, 50, 100, 200];

impl Keeper {
    /// Prepares the memory of a draft: all of it, or what the pool's container lacks.
    pub(super) fn prepare_draft(
        self: &Arc<Self>,
        books: &mut Books,
        lend: Lend,
        have: Option<Memfd>,
    ) {
        let entry = Entry::Busy { lend: None, ended: false };
        books.vault.entries.insert(lend.container, entry);
        let keeper = self.clone();
        self.jobs.spawn_blocking(move || {
            let prepared = extend(have, lend.bytes, threads());
            let mut books = keeper.lock();
            keeper.finish_preparing(&mut books, lend, prepared);
            keeper.settle(&mut books);
        });
    }

    fn finish_preparing(
        self: &Arc<Self>,
        books: &mut Books,
        lend: Lend,
        Prepared { memfd, outcome }: Prepared,
    ) {
        let container = lend.container;
        let (next, ended) = match books.vault.entries.remove(&container) {
            Some(Entry::Busy { lend, ended }) => (lend, ended),
            _ => (None, false),
        };
        if let Some(memfd) = memfd {
            books.vault.entries.insert(container, Entry::Large(memfd));
        }
        let outcome = if ended { Err(draft_ended()) } else { outcome };
        match outcome {
            Ok(()) => self.finish_lend(books, &lend),
            Err(error) => self.fail_lend(books, &lend, error),
        }
        if ended {
            self.retire(books, container);
        }
        self.settle(books);
        // A second request to grow came meanwhile.
        match next {
            Some(next) if books.vault.entries.contains_key(&container) && !ended => {
                self.lend(books, next);
            }
            Some(next) => self.fail_lend(books, &next, draft_ended()),
            None => {}
        }
    }

    /// Prepares what the pool wants, one job a container.
    pub(super) fn fill_pool(self: &Arc<Self>, books: &mut Books) {
        if self.is_draining() {
            return;
        }
        while let Some((container, bytes)) = books.room.pool_want(self.now_ms()) {
            let entry = Entry::Busy { lend: None, ended: false };
            books.vault.entries.insert(container, entry);
            let keeper = self.clone();
            self.jobs.spawn_blocking(move || {
                // One thread: the machine's other cores belong to those who use the data.
                let prepared = extend(None, bytes, 1);
                let mut books = keeper.lock();
                keeper.finish_pooling(&mut books, container, prepared);
                keeper.settle(&mut books);
            });
        }
    }

    fn finish_pooling(
        self: &Arc<Self>,
        books: &mut Books,
        container: ContainerId,
        prepared: Prepared,
    ) {
        let (lend, ended) = match books.vault.entries.get_mut(&container) {
            Some(Entry::Busy { lend, ended }) => (lend.take(), *ended),
            _ => (None, false),
        };
        let Some(lend) = lend else {
            return self.keep_pooled(books, container, prepared, ended);
        };
        let Prepared { memfd, outcome } = prepared;
        let lacks = memfd.as_ref().is_some_and(|memfd| memfd.bytes() < lend.bytes);
        if lacks && outcome.is_ok() && !ended {
            self.prepare_draft(books, lend, memfd);
        } else {
            self.finish_preparing(books, lend, Prepared { memfd, outcome });
        }
    }

    /// Nobody has asked for it meanwhile: it is the pool's.
    fn keep_pooled(
        self: &Arc<Self>,
        books: &mut Books,
        container: ContainerId,
        prepared: Prepared,
        ended: bool,
    ) {
        match (prepared.memfd, prepared.outcome) {
            (Some(memfd), Ok(())) => {
                if self.put_back(books, container, memfd) {
                    books.room.pool_ready(container);
                }
            }
            (memfd, outcome) => {
                drop(memfd);
                if let Err(error) = outcome {
                    tracing::warn!(%error, "the pool could not be filled");
                }
                books.vault.entries.remove(&container);
                if ended {
                    books.room.reclaimed(container);
                } else {
                    books.room.pool_failed(container);
                }
            }
        }
    }

    /// Seals a large draft: the kernel's seal, then the check, off the serving thread.
    pub(super) fn seal_large(
        self: &Arc<Self>,
        session: &Session,
        request: u64,
        object: ObjectId,
        len: u64,
    ) -> Result<Option<Reply>> {
        let mut books = self.lock();
        let work = books.room.seal_begin(session.client, object, len)?;
        let Some(memfd) = books.vault.take_large(work.container) else {
            let error = Error::new(Kind::Internal, "a draft without memory");
            let refused = SealOutcome::Refused(error.clone());
            let _ = books.room.seal_end(self.now_ms(), object, refused);
            self.settle(&mut books);
            return Err(error);
        };
        drop(books);
        let keeper = self.clone();
        let outbox = session.outbox.clone();
        self.jobs.spawn_blocking(move || {
            let (memfd, outcome) = seal_and_check(memfd, &work);
            let mut books = keeper.lock();
            keeper.put_back(&mut books, work.container, memfd);
            let ended = books.room.seal_end(keeper.now_ms(), object, outcome);
            let told = ended.and_then(|_| effects::told(&books, object));
            // Before the reply, which another thread may send at once: the index must not lead to
            // the tiny object that this one replaced when its writer asks.
            keeper.settle(&mut books);
            match told {
                Ok(sealed) => outbox.reply(request, sealed),
                Err(error) => outbox.fail(request, &error),
            }
        });
        Ok(None)
    }
}

fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(8)
}

/// What a job has prepared: the memfd, as far as there is one, and whether all of it is there.
struct Prepared {
    memfd: Option<Memfd>,
    outcome: Result<()>,
}

fn draft_ended() -> Error {
    Error::new(Kind::Invalid, "the draft ended while its memory was being prepared")
}

/// A memfd of this size, all of it prepared; begins with what there is, and keeps that whatever
/// happens, since its writer may have it mapped.
fn extend(have: Option<Memfd>, bytes: u64, threads: usize) -> Prepared {
    let mut memfd = have;
    let outcome = extend_to(&mut memfd, bytes, threads);
    Prepared { memfd, outcome }
}

fn extend_to(memfd: &mut Option<Memfd>, bytes: u64, threads: usize) -> Result<()> {
    // In whole huge pages: cutting one afterwards costs less than filling its tail page by page.
    let whole = bytes.next_multiple_of(HUGE_PAGE_BYTES);
    let end = if whole - bytes <= HUGE_PAGE_BYTES / 2 { whole } else { bytes };
    let from = memfd.as_ref().map_or(0, Memfd::bytes);
    match memfd {
        Some(memfd) => memfd.resize(end)?,
        None => *memfd = Some(Memfd::create("sheaf", end)?),
    }
    let Some(memfd) = memfd else { return Ok(()) };
    memory::prepare(memfd, from, end, threads, Probe::get())
}

fn seal_and_check(mut memfd: Memfd, work: &SealWork) -> (Memfd, SealOutcome) {
    let outcome = seal(&mut memfd, work).unwrap_or_else(SealOutcome::Refused);
    (memfd, outcome)
}

fn seal(memfd: &mut Memfd, work: &SealWork) -> Result<SealOutcome> {
    if work.len > memfd.bytes() {
        // Its memory has not come, so there is nothing that could be read.
        let (len, has) = (work.len, memfd.bytes());
        let message = format!("draft {} has {has} bytes, not {len}: await its growth", work.name);
        return Err(Error::new(Kind::Invalid, message));
    }
    memfd.resize(work.len)?;
    let mut sealed = false;
    for pause in SEAL_PAUSES_MS {
        std::thread::sleep(Duration::from_millis(pause));
        sealed = memfd.seal()? == Outcome::Sealed;
        if sealed {
            break;
        }
    }
    if !sealed {
        return Ok(SealOutcome::Busy);
    }
    if work.kind == ObjectKind::Bytes {
        return Ok(SealOutcome::Sealed { rows: 0, batches: 0 });
    }
    let len = usize::try_from(work.len)
        .map_err(|_| Error::new(Kind::Invalid, "a table larger than the address space"))?;
    let map = Arc::new(ReadMap::new(memfd.reopen_read()?.as_fd(), len, Expect::Sealed)?);
    let bytes = memory::buffer(map, 0, work.len, ())
        .ok_or_else(|| Error::new(Kind::Internal, "a container shorter than its object"))?;
    let file = sheaf_ipc::File::open(bytes)?;
    Ok(SealOutcome::Sealed { rows: file.num_rows(), batches: file.num_batches() as u64 })
}

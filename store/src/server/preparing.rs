//! Memory that is prepared, on the blocking pool: for a draft, and for the pool.

use std::sync::Arc;

use super::keeper::{Books, Keeper};
use super::vault::{Entry, Lend};
use crate::error::{Error, Kind, Result};
use crate::memory::{self, HUGE_PAGE_BYTES, Memfd, Probe, Threads};
use crate::room::ContainerId;

impl Keeper {
    /// Prepares the memory of a draft: all of it, or what the pool's container lacks.
    pub(super) fn prepare_draft(
        self: &Arc<Self>,
        books: &mut Books,
        lend: Lend,
        have: Option<Memfd>,
    ) {
        let threads = Arc::new(Threads::new(most_threads()));
        books.vault.entries.insert(lend.container, Entry::preparing(&threads));
        let keeper = self.clone();
        self.jobs.spawn_blocking(move || {
            let prepared = extend(have, lend.bytes, &threads);
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
            Some(Entry::Busy { lend, ended, .. }) => (lend, ended),
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
            // One thread: the machine's other cores belong to those who use the data. Who comes to
            // wait for it raises that.
            let threads = Arc::new(Threads::new(1));
            books.vault.entries.insert(container, Entry::preparing(&threads));
            let keeper = self.clone();
            self.jobs.spawn_blocking(move || {
                let prepared = extend(None, bytes, &threads);
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
            Some(Entry::Busy { lend, ended, .. }) => (lend.take(), *ended),
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
}

/// The threads that prepare what somebody waits for.
pub(super) fn most_threads() -> usize {
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
fn extend(have: Option<Memfd>, bytes: u64, threads: &Threads) -> Prepared {
    let mut memfd = have;
    let outcome = extend_to(&mut memfd, bytes, threads);
    Prepared { memfd, outcome }
}

fn extend_to(memfd: &mut Option<Memfd>, bytes: u64, threads: &Threads) -> Result<()> {
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

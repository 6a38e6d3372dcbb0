//! Sealing of large drafts: the kernel's seal, then the check, off the serving thread.
//!
//! A client can make its own seals slow (it keeps a mapping, or pages pinned) and nobody else's: it
//! waits without a thread, and has few threads at a time.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use super::effects;
use super::keeper::{Keeper, Session};
use crate::error::{Error, Kind, Result};
use crate::memory::{self, Expect, Memfd, Outcome, ReadMap};
use crate::object::ObjectKind;
use crate::protocol::message::{Reply, Sealed};
use crate::room::{ObjectId, SealOutcome, SealWork};

/// How long to wait before each attempt at the write seal: in all about a third of a second.
const PAUSES_MS: [u64; 6] = [0, 1, 10, 50, 100, 200];

/// The seals that one client may have on threads at a time.
pub(super) const SEALS_PER_CLIENT: usize = 4;

impl Keeper {
    /// Seals a large draft; the reply follows.
    pub(super) fn seal_large(
        self: &Arc<Self>,
        session: &Session,
        request: u64,
        object: ObjectId,
        len: u64,
    ) -> Result<Option<Reply>> {
        let mut books = self.lock();
        let work = books.room.seal_begin(session.client, object, len)?;
        let memfd = books.vault.take_large(work.container);
        drop(books);
        let keeper = self.clone();
        let (outbox, turns) = (session.outbox.clone(), session.seals.clone());
        self.jobs.spawn(async move {
            let work = Arc::new(work);
            let _turn = turns.acquire().await;
            let sealed = match memfd {
                Some(memfd) => attempt(memfd, &work).await,
                None => None,
            };
            match keeper.finish_seal(object, &work, sealed) {
                Ok(sealed) => outbox.reply(request, sealed),
                Err(error) => outbox.fail(request, &error),
            }
        });
        Ok(None)
    }

    /// Tells the room how a seal went. `sealed` is nothing when the memory is lost, which would be
    /// a defect of the store.
    fn finish_seal(
        self: &Arc<Self>,
        object: ObjectId,
        work: &SealWork,
        sealed: Option<(Memfd, SealOutcome)>,
    ) -> Result<Sealed> {
        let mut books = self.lock();
        let outcome = match sealed {
            Some((memfd, outcome)) => {
                if self.put_back(&mut books, work.container, memfd) {
                    books.vault.note_opened_ahead(work.container);
                }
                outcome
            }
            None => {
                books.vault.entries.remove(&work.container);
                SealOutcome::Refused(Error::new(Kind::Internal, "a draft without memory"))
            }
        };
        let ended = books.room.seal_end(self.now_ms(), object, outcome);
        let told = ended.map(|_| effects::told(&books, object));
        if let (Ok(sealed), Some(engine)) = (&told, &self.engine)
            && sealed.rows > 0
        {
            engine.sealed(&work.name);
        }
        // Before the reply: the index must not lead to the tiny object that this one replaced when
        // its writer asks.
        self.settle(&mut books);
        told
    }
}

/// Seals and checks on a thread of the pool, again and again while the kernel says that someone
/// can still write.
async fn attempt(mut memfd: Memfd, work: &Arc<SealWork>) -> Option<(Memfd, SealOutcome)> {
    for pause in PAUSES_MS {
        if pause > 0 {
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        let own = work.clone();
        let tried = tokio::task::spawn_blocking(move || {
            let outcome = seal_and_check(&mut memfd, &own).unwrap_or_else(SealOutcome::Refused);
            (memfd, outcome)
        });
        let (back, outcome) = tried.await.ok()?;
        if !matches!(outcome, SealOutcome::Busy) {
            return Some((back, outcome));
        }
        memfd = back;
    }
    Some((memfd, SealOutcome::Busy))
}

fn seal_and_check(memfd: &mut Memfd, work: &SealWork) -> Result<SealOutcome> {
    if work.len > memfd.bytes() {
        // Its memory has not come, so there is nothing that could be read.
        let (len, has) = (work.len, memfd.bytes());
        let message = format!("draft {} has {has} bytes, not {len}: await its growth", work.name);
        return Err(Error::new(Kind::Invalid, message));
    }
    memfd.resize(work.len)?;
    if memfd.seal()? == Outcome::Busy {
        return Ok(SealOutcome::Busy);
    }
    let outcome = match work.kind {
        ObjectKind::Bytes => SealOutcome::Sealed { rows: 0, batches: 0 },
        ObjectKind::Table => check_table(memfd, work.len)?,
    };
    memfd.open_ahead();
    Ok(outcome)
}

fn check_table(memfd: &Memfd, len: u64) -> Result<SealOutcome> {
    let bytes = usize::try_from(len)
        .map_err(|_| Error::new(Kind::Invalid, "a table larger than the address space"))?;
    let map = Arc::new(ReadMap::new(memfd.reopen_read()?.as_fd(), bytes, Expect::Sealed)?);
    let bytes = memory::buffer(map, 0, len, ())
        .ok_or_else(|| Error::new(Kind::Internal, "a container shorter than its object"))?;
    let file = sheaf_ipc::File::open(bytes)?;
    Ok(SealOutcome::Sealed { rows: file.num_rows(), batches: file.num_batches() as u64 })
}

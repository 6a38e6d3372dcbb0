//! Uploads of several steps: begun by one call, filled by others, sealed by another.
//!
//! ```text
//! create ─▶ resting ── append: a DoPut has it ──▶ at work ── it ends well ──▶ resting ─▶ seal
//!              │                                     └─ it breaks off ─▶ gone
//!              └─ nobody comes for it in time, abort ─▶ gone
//! ```
//!
//! Its name is taken, or promised, all the while: it is a draft of the store like any other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sheaf_store::{Client, GrowingDraft, Info, ObjectKind};
use tonic::Status;

use super::making::Making;
use super::options::Place;
use crate::auth::new_secret;
use crate::door::Door;
use crate::status;

/// What an upload has come to.
pub(super) enum Begun {
    /// No schema has come.
    Draft(GrowingDraft, ObjectKind),
    Making(Box<Making>),
}

enum Slot {
    /// Put there as the so-manieth.
    Resting(Begun, u64),
    AtWork,
}

#[derive(Default)]
struct Table {
    slots: HashMap<String, Slot>,
    rests: u64,
}

/// The uploads of an endpoint that were begun and not ended. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Uploads {
    table: Arc<Mutex<Table>>,
    most: usize,
    idle: Duration,
}

impl Uploads {
    /// None yet; at most this many, each for so long without anybody who comes for it.
    pub(crate) fn new(most: usize, idle: Duration) -> Self {
        Self { table: Arc::default(), most, idle }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins an upload: its id.
    pub(crate) async fn create(
        &self,
        door: &Door,
        place: Place,
        kind: ObjectKind,
    ) -> Result<String, Status> {
        let id = new_secret().map_err(|error| status::of(&error))?;
        let taken = self.reserve(&id)?;
        let begin = move |client: &Client| client.grow(&place.name, kind, &place.options);
        let draft = door.wait(begin).await?;
        taken.rest(Begun::Draft(draft, kind));
        Ok(id)
    }

    fn reserve(&self, id: &str) -> Result<Taken, Status> {
        let mut table = self.table();
        if table.slots.len() >= self.most {
            let message = format!("{} uploads are begun already: seal or abort some", self.most);
            return Err(Status::resource_exhausted(message));
        }
        table.slots.insert(id.to_owned(), Slot::AtWork);
        Ok(Taken { uploads: self.clone(), id: id.to_owned() })
    }

    /// Takes an upload to work on it; it is gone unless it is put back.
    pub(super) fn take(&self, id: &str) -> Result<(Taken, Begun), Status> {
        let mut table = self.table();
        match table.slots.get_mut(id).map(|slot| std::mem::replace(slot, Slot::AtWork)) {
            Some(Slot::Resting(begun, _)) => {
                Ok((Taken { uploads: self.clone(), id: id.to_owned() }, begun))
            }
            Some(Slot::AtWork) => Err(Status::failed_precondition(
                "another call appends to this upload: wait until it has ended",
            )),
            None => Err(Status::not_found(format!(
                "there is no such upload: it was sealed, given up, or left alone for {} s",
                self.idle.as_secs()
            ))),
        }
    }

    /// Seals an upload.
    pub(crate) async fn seal(&self, door: &Door, id: &str) -> Result<Info, Status> {
        let (taken, begun) = self.take(id)?;
        match begun {
            Begun::Draft(_, ObjectKind::Table) => {
                taken.rest(begun);
                Err(Status::invalid_argument("an upload without a schema: append one, or abort"))
            }
            Begun::Draft(draft, ObjectKind::Bytes) => door.ask(move |_| draft.seal()).await,
            Begun::Making(making) => door.ask(move |_| making.finish()).await,
        }
    }

    /// Gives an upload up.
    pub(crate) async fn abort(&self, door: &Door, id: &str) -> Result<(), Status> {
        let (_taken, begun) = self.take(id)?;
        door.ask(move |_| match begun {
            Begun::Draft(draft, _) => draft.abort(),
            Begun::Making(making) => making.abort(),
        })
        .await
    }

    /// Ends an upload that has rested since then.
    fn expire(&self, id: &str, rest: u64) {
        let mut table = self.table();
        let is_due = matches!(table.slots.get(id), Some(Slot::Resting(_, since)) if *since == rest);
        let expired = if is_due { table.slots.remove(id) } else { None };
        drop(table); // Ending a draft is a message to the store.
        drop(expired);
    }
}

/// An upload that is worked on.
pub(super) struct Taken {
    uploads: Uploads,
    id: String,
}

impl Taken {
    /// Lets it rest until somebody comes for it, or nobody does.
    pub(super) fn rest(self, begun: Begun) {
        let (uploads, id) = (self.uploads.clone(), self.id.clone());
        let mut table = uploads.table();
        table.rests += 1;
        let rest = table.rests;
        table.slots.insert(id.clone(), Slot::Resting(begun, rest));
        drop(table);
        drop(self);
        tokio::spawn(async move {
            tokio::time::sleep(uploads.idle).await;
            uploads.expire(&id, rest);
        });
    }
}

impl Drop for Taken {
    /// What was not put back is gone.
    fn drop(&mut self) {
        let mut table = self.uploads.table();
        if matches!(table.slots.get(&self.id), Some(Slot::AtWork)) {
            table.slots.remove(&self.id);
        }
    }
}

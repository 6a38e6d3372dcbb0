//! The terms of a request that takes from the budget: may it be done, and how much does it take?
//!
//! Nothing here changes anything. The answers hold for this moment; a request that waits is
//! examined again when its turn comes.

use super::Room;
use super::create::Create;
use super::entry::{Entry, Phase};
use super::ids::{ClientId, ContainerId, ObjectId};
use super::queue::Job;
use super::refusal;
use super::segment::{footprint, pages};
use crate::error::Result;
use crate::object::{MAX_METADATA_BYTES, Name};

impl Room {
    /// Whether a request may be done at all, if there is room; `turn` is its number in the queue.
    pub(super) fn may(&self, client: ClientId, job: &Job, turn: Option<u64>) -> Result<()> {
        match job {
            Job::Create(create) => {
                let books = self.client(client)?;
                let most = self.config.limits.drafts_per_client;
                if books.drafts.len() >= most {
                    return Err(refusal::limit("drafts", most, "seal or abort one first"));
                }
                self.may_create(create)
            }
            Job::Put { create, .. } => {
                if create.bytes > self.config.small_bytes {
                    return Err(refusal::not_small(create, self.config.small_bytes));
                }
                self.may_create(create)
            }
            Job::Grow { object, bytes } => {
                let entry = self.own_draft(client, *object)?;
                if entry.growing.is_some() && entry.growing != turn {
                    return Err(refusal::still_growing(&entry.name));
                }
                self.may_fit(&entry.name, *bytes)
            }
        }
    }

    pub(super) fn may_create(&self, create: &Create) -> Result<()> {
        let limits = &self.config.limits;
        if create.metadata.len() > MAX_METADATA_BYTES {
            return Err(refusal::metadata_too_large(create));
        }
        if self.metadata_bytes + create.metadata.len() as u64 > limits.metadata_bytes {
            return Err(refusal::metadata_full(create, limits.metadata_bytes));
        }
        if self.objects.len() >= limits.objects {
            return Err(refusal::limit("objects", limits.objects, "delete one first"));
        }
        let bound = self.bound.get(&create.name).copied();
        if create.replaces.is_some() && bound != create.replaces {
            return Err(refusal::replaced(&create.name));
        }
        if !create.replace
            && let Some(entry) = self.bound.get(&create.name).and_then(|id| self.objects.get(id))
        {
            return Err(refusal::exists(entry, self.writer_pid(entry)));
        }
        self.may_fit(&create.name, create.bytes)
    }

    /// Refuses what could not fit into an empty room.
    fn may_fit(&self, name: &Name, bytes: u64) -> Result<()> {
        let charge = self.charge(name, bytes);
        let limit = self.budget.limit();
        if charge > limit { Err(refusal::too_large(name, charge, limit)) } else { Ok(()) }
    }

    /// What a draft of this size takes from the budget.
    pub(super) fn charge(&self, name: &Name, bytes: u64) -> u64 {
        pages(if bytes > self.config.small_bytes { bytes } else { footprint(name, bytes) })
    }

    /// What a draft takes once it is this large; a large one stays large, whatever a seal that
    /// came to nothing has cut it to.
    pub(super) fn grown_charge(&self, entry: &Entry, bytes: u64) -> u64 {
        let bytes = bytes.max(entry.bytes);
        let charge = if entry.large { pages(bytes) } else { self.charge(&entry.name, bytes) };
        charge.max(entry.charge)
    }

    /// What a request takes from the free bytes, and the pooled container it will use.
    pub(super) fn need(&self, job: &Job) -> (u64, Option<ContainerId>) {
        match job {
            Job::Put { create, .. } => {
                (self.segments.growth(footprint(&create.name, create.bytes)), None)
            }
            Job::Create(create) => {
                let charge = self.charge(&create.name, create.bytes);
                if create.bytes <= self.config.small_bytes {
                    return (charge, None);
                }
                let pooled = self.pool.best(charge);
                let has = pooled.map_or(0, |entry| entry.bytes);
                (charge.saturating_sub(has), pooled.map(|entry| entry.container))
            }
            Job::Grow { object, bytes } => {
                let Some(entry) = self.objects.get(object) else {
                    return (0, None);
                };
                (self.grown_charge(entry, *bytes) - entry.charge, None)
            }
        }
    }

    /// The draft, if it is this client's and being written.
    pub(super) fn own_draft(&self, client: ClientId, object: ObjectId) -> Result<&Entry> {
        self.client(client)?;
        let entry = self.objects.get(&object).filter(|entry| entry.writer == client);
        let entry = entry.ok_or_else(|| refusal::no_draft(object))?;
        match entry.phase {
            Phase::Draft => Ok(entry),
            Phase::Sealing | Phase::Orphan => Err(refusal::being_sealed(&entry.name)),
            Phase::Sealed | Phase::Retired => Err(refusal::sealed_already(&entry.name)),
        }
    }
}

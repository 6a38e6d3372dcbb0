//! Making room: what is given up, in which order, when something does not fit.
//!
//! First pooled containers, then droppable objects that nobody holds, least recently used first,
//! then the dead bytes of segments. Memory given up is not free until the kernel gives it back,
//! so the outlook may be that room is *coming*. Nothing is given up for what would not fit
//! even then.

use super::Room;
use super::budget::Part;
use super::ids::{ContainerId, ObjectId};

/// Whether there is room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outlook {
    /// It is free.
    Ready,
    /// The kernel is giving it back.
    Coming,
    /// Someone must release, delete or abort something first.
    Lacking,
}

impl Room {
    /// Whether this many bytes are free, or will be without giving anything more up.
    pub(super) fn outlook(&self, need: u64) -> Outlook {
        if self.budget.free() >= need {
            Outlook::Ready
        } else if self.coming() >= need {
            Outlook::Coming
        } else {
            Outlook::Lacking
        }
    }

    /// What is free, or will be without giving anything more up.
    pub(super) fn coming(&self) -> u64 {
        self.budget.free() + self.retiring.arriving + self.vacating()
    }

    /// Makes room for this many bytes, but for the pooled container that they will extend.
    pub(super) fn make_room(&mut self, need: u64, keep: Option<ContainerId>) -> Outlook {
        let budget = &self.budget;
        let at_most = self.retiring.arriving
            + self.idle.droppable_bytes
            + [Part::Free, Part::Pool, Part::Slack]
                .map(|part| budget.part(part))
                .iter()
                .sum::<u64>();
        if at_most < need {
            return Outlook::Lacking;
        }
        while self.outlook(need) == Outlook::Lacking
            && let Some(pooled) = self.pool.oldest_except(keep)
        {
            self.drop_pooled(pooled.container);
        }
        // Small objects free nothing by themselves: from time to time, empty the segments
        // that their loss has thinned out, ever more rarely so that the search stays cheap.
        let mut enough = need;
        let mut dropped = 0;
        while self.outlook(need) == Outlook::Lacking
            && let Some(object) = self.idle.oldest()
        {
            dropped += self.evict_one(object);
            if dropped >= enough {
                self.compact(need);
                enough = enough.saturating_mul(2);
            }
        }
        if self.outlook(need) == Outlook::Lacking {
            self.compact(need);
        }
        self.outlook(need)
    }

    /// Drops droppable objects that nobody holds, least recently used first, until they amount to
    /// this many bytes. Returns how many bytes they were charged.
    pub fn evict(&mut self, bytes: u64) -> u64 {
        let mut freed = 0;
        while freed < bytes
            && let Some(object) = self.idle.oldest()
        {
            freed += self.evict_one(object);
        }
        self.pump();
        freed
    }

    fn evict_one(&mut self, object: ObjectId) -> u64 {
        let charge = self.objects.get(&object).map_or(0, |entry| entry.charge);
        self.counters.evictions += 1;
        self.drop_sealed(object);
        charge
    }
}

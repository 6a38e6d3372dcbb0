//! Creates that wait for room: first come, first served.
//!
//! A later request may pass those that wait while it fits as things are, but only until those
//! that passed have taken as much as the first in line needs: nobody starves.

use std::collections::BTreeMap;

use super::create::Create;
use super::ids::{ClientId, ObjectId, Ticket};

/// What is to be done once there is room.
#[derive(Clone, Debug)]
pub(super) enum Job {
    /// Create a draft.
    Create(Create),
    /// Create and seal a small object.
    Put {
        /// The object.
        create: Create,
        /// Its rows.
        rows: u64,
        /// Its record batches.
        batches: u64,
    },
    /// Make a draft larger.
    Grow {
        /// The draft.
        object: ObjectId,
        /// Its size from then on.
        bytes: u64,
    },
}

/// One request that waits for room.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) client: ClientId,
    pub(super) ticket: Ticket,
    pub(super) deadline_ms: u64,
    /// False when it waits only for memory that is on its way back from the kernel.
    pub(super) patient: bool,
    /// What it needed when it came, in bytes.
    pub(super) need: u64,
    pub(super) job: Job,
    /// What later requests took while this one was the first in line, in bytes.
    passed: u64,
}

/// The requests that wait for room, by their sequence number.
#[derive(Debug, Default)]
pub(super) struct Queue {
    line: BTreeMap<u64, Pending>,
    /// What they need together, in bytes.
    pub(super) need: u64,
}

impl Pending {
    pub(super) fn new(
        (client, ticket): (ClientId, Ticket),
        deadline_ms: u64,
        patient: bool,
        need: u64,
        job: Job,
    ) -> Self {
        Self { client, ticket, deadline_ms, patient, need, job, passed: 0 }
    }
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.line.len()
    }

    pub(super) fn push(&mut self, seq: u64, pending: Pending) {
        self.need = self.need.saturating_add(pending.need);
        self.line.insert(seq, pending);
    }

    pub(super) fn remove(&mut self, seq: u64) -> Option<Pending> {
        let pending = self.line.remove(&seq)?;
        self.need = self.need.saturating_sub(pending.need);
        Some(pending)
    }

    /// The first in line.
    pub(super) fn first(&self) -> Option<(u64, &Pending)> {
        self.line.first_key_value().map(|(seq, pending)| (*seq, pending))
    }

    /// Lets a later request take this many bytes before the first in line, unless enough did.
    pub(super) fn let_pass(&mut self, need: u64) -> bool {
        let Some(mut first) = self.line.first_entry() else {
            return true;
        };
        let first = first.get_mut();
        let passed = first.passed.saturating_add(need);
        let may = passed <= first.need;
        if may {
            first.passed = passed;
        }
        may
    }

    /// Those that counted on memory on its way back, and cannot get it from this many bytes.
    pub(super) fn disappointed(&self, coming: u64) -> Vec<u64> {
        let mut before = 0u64;
        let mut out = Vec::new();
        for (seq, pending) in &self.line {
            let sum = before.saturating_add(pending.need);
            if !pending.patient && sum > coming {
                out.push(*seq);
            } else {
                before = sum;
            }
        }
        out
    }
}

//! How large a room is and how it divides its budget.
//!
//! All sizes are bytes. [`Config::for_budget`] derives the rest from one number; the room
//! corrects what cannot work (a small object that would not fit into a segment).

use super::segment::{PAGE, SEGMENT_HEADER};
use crate::object::Name;

/// How large a room is and how it divides its budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The most that sealed, drafts, retired, slack and pool may take together.
    pub budget_bytes: u64,
    /// The capacity of a segment, the container that small objects share.
    pub segment_bytes: u64,
    /// The largest object that lives in a segment.
    pub small_bytes: u64,
    /// The largest object that is sent in the answer itself, so that its get needs no hold.
    pub inline_bytes: u64,
    /// The most that the pool of prepared containers may take.
    pub pool_bytes: u64,
    /// How many of each thing there may be.
    pub limits: Limits,
}

/// How many of each thing there may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Drafts that one client may have at a time.
    pub drafts_per_client: usize,
    /// Requests of one client that may wait at a time, for objects or for room.
    pub waits_per_client: usize,
    /// Watches of one client.
    pub watches_per_client: usize,
    /// Objects in the room, drafts and retired ones included.
    pub objects: usize,
    /// User metadata of all objects together, in bytes: it lies in the daemon's own memory,
    /// outside the budget.
    pub metadata_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            drafts_per_client: 4096,
            waits_per_client: 4096,
            watches_per_client: 64,
            objects: 10_000_000,
            metadata_bytes: 256 << 20,
        }
    }
}

impl Config {
    /// The division that suits a budget of this many bytes.
    #[must_use]
    pub fn for_budget(budget_bytes: u64) -> Self {
        let eighth = (budget_bytes / 8).max(1);
        let segment_bytes = (1u64 << eighth.ilog2()).clamp(256 << 10, 8 << 20);
        let small_bytes = segment_bytes / 8;
        Self {
            budget_bytes,
            segment_bytes,
            small_bytes,
            inline_bytes: small_bytes.min(4096),
            pool_bytes: budget_bytes / 4,
            limits: Limits::default(),
        }
    }

    /// The same, with what cannot work corrected.
    pub(super) fn corrected(mut self) -> Self {
        // Sums of a few such sizes must not overflow.
        self.budget_bytes = self.budget_bytes.min(1 << 60);
        self.segment_bytes = self.segment_bytes.clamp(PAGE, 1 << 40).next_multiple_of(PAGE);
        let longest_name = (Name::MAX_BYTES as u64).next_multiple_of(64);
        self.small_bytes = self.small_bytes.min(self.segment_bytes - SEGMENT_HEADER - longest_name);
        self.pool_bytes = self.pool_bytes.min(self.budget_bytes);
        self
    }
}

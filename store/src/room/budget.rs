//! The budget: every byte of it is in exactly one part.
//!
//! ```text
//! budget = free + sealed + drafts + retired + slack + pool
//! ```
//!
//! **Invariant:** bytes only move from one part to another, so the sum cannot drift and nothing
//! can take more than is free.

/// A part of the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Nobody's.
    Free,
    /// Sealed large objects, and what sealed small ones take in their segments.
    Sealed,
    /// Large drafts, and what small drafts will take at most.
    Drafts,
    /// Containers that nobody binds and that the kernel has not given back.
    Retired,
    /// What the segments have beyond their live objects: dead ones and the free tail.
    Slack,
    /// Containers prepared ahead of need.
    Pool,
}

/// How many bytes each part has.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    parts: [u64; 6],
    limit: u64,
}

impl Budget {
    pub(super) fn new(limit: u64) -> Self {
        let mut budget = Self { parts: [0; 6], limit };
        budget.parts[Part::Free as usize] = limit;
        budget
    }

    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    pub(super) fn part(&self, part: Part) -> u64 {
        self.parts[part as usize]
    }

    pub(super) fn free(&self) -> u64 {
        self.part(Part::Free)
    }

    /// Moves bytes from one part to another; the caller has made sure that they are there.
    pub(super) fn shift(&mut self, from: Part, to: Part, bytes: u64) {
        let there = self.parts[from as usize];
        debug_assert!(there >= bytes, "{from:?} has {there}, not the {bytes} to go to {to:?}");
        let bytes = bytes.min(there);
        self.parts[from as usize] -= bytes;
        self.parts[to as usize] += bytes;
    }

    /// Makes a charge in `part` larger or smaller, out of what is free or back into it.
    pub(super) fn resize(&mut self, part: Part, from_bytes: u64, to_bytes: u64) {
        if to_bytes > from_bytes {
            self.shift(Part::Free, part, to_bytes - from_bytes);
        } else {
            self.shift(part, Part::Free, from_bytes - to_bytes);
        }
    }
}

//! The numbers by which the room and its shell call things, and where bytes lie.
//!
//! None is ever used twice: a number that is gone stays unknown, so that a late or hostile
//! message can miss but never hit something else.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// One connection, numbered by the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

/// One request that is answered by an effect; the shell picks it, unique within its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// One object, from its draft to its end, numbered by the room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub u64);

/// One memfd, numbered by the room from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId(pub u64);

/// Where an object's bytes lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The container that has them.
    pub container: ContainerId,
    /// The first byte's offset in it.
    pub offset: u64,
    /// How many bytes.
    pub len: u64,
}

/// A hash map keyed by numbers that the room or the shell hands out. Its hash is fixed, so that
/// a run repeats exactly from its seed.
pub(super) type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

/// Hashes one `u64` by a widening multiplication.
#[derive(Default)]
pub(super) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        const ODD: u128 = 0x9e37_79b9_7f4a_7c15;
        let wide = u128::from(self.0 ^ value).wrapping_mul(ODD);
        // Both halves: the low one alone never sees the high bits of the id.
        self.0 = (wide as u64) ^ ((wide >> 64) as u64);
    }
}

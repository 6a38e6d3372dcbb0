//! A client's side of the index: looking up, without a message.

use std::os::fd::{AsFd, OwnedFd};

use super::table::{
    BUCKETS_WORD, Location, MAGIC, MAGIC_WORD, RETIRED_WORD, SEED_WORD, Table, Words,
};
use crate::error::{Error, Kind, Result};
use crate::memory::{Expect, ReadMap};

/// The index, mapped read-only.
#[derive(Debug)]
pub struct Reader {
    map: ReadMap,
    table: Table,
}

impl Words for ReadMap {
    fn load(&self, index: usize) -> u64 {
        Self::load(self, index as u64 * 8).unwrap_or(0)
    }
}

impl Reader {
    /// Maps the index.
    ///
    /// # Errors
    /// [`Kind::Internal`] when it is none.
    pub fn new(descriptor: &OwnedFd) -> Result<Self> {
        let bytes = rustix::fs::fstat(descriptor)
            .map_err(|errno| Error::os("asking for the index's size", errno))?
            .st_size;
        let bytes = usize::try_from(bytes).unwrap_or(0);
        let map = ReadMap::new(descriptor.as_fd(), bytes, Expect::Segment)?;
        let word = |index| Words::load(&map, index);
        let (magic, buckets) = (word(MAGIC_WORD), word(BUCKETS_WORD));
        let table = Table::new(buckets.max(1).next_power_of_two(), word(SEED_WORD));
        if magic != MAGIC || !buckets.is_power_of_two() || table.words() * 8 > bytes {
            return Err(Error::new(Kind::Internal, "the store's index is none"));
        }
        Ok(Self { map, table })
    }

    /// What `read` makes of this name's object, if the index leads to it.
    pub fn find<T>(&self, name: &[u8], read: impl FnMut(Location) -> Option<T>) -> Option<T> {
        self.table.find(&self.map, name, read).map(|(_, found)| found)
    }

    /// How many segments the store has retired.
    #[must_use]
    pub fn retired(&self) -> u64 {
        Words::load(&self.map, RETIRED_WORD)
    }
}

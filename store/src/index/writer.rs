//! The store's side of the index: the one who writes it.

use std::os::fd::OwnedFd;

use super::table::{
    BUCKETS_WORD, HEADER_WORDS, Location, MAGIC, MAGIC_WORD, RETIRED_WORD, SEED_WORD, Table, Words,
};
use crate::error::Result;
use crate::memory::Segment;

/// The index, written here alone.
#[derive(Debug)]
pub struct Writer {
    memory: Segment,
    table: Table,
    retired: u64,
}

impl Words for Segment {
    fn load(&self, index: usize) -> u64 {
        let bytes = self.read(index as u64 * 8, 8).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u64::from_le_bytes)
    }
}

impl Writer {
    /// The bytes that an index for a store of this budget takes: a word for every
    /// 4 KiB, from 1,024 words to 8 million.
    fn bytes_for(budget_bytes: u64) -> u64 {
        let bytes = (budget_bytes / 512).clamp(8 << 10, 64 << 20);
        Table::new(1 << (bytes / 64).ilog2(), 0).words() as u64 * 8
    }

    /// The memory it takes, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.memory.capacity()
    }

    /// An empty index of that size.
    ///
    /// # Errors
    /// [`Kind::Full`](crate::Kind::Full) when the kernel has no memory for it.
    pub fn new(budget_bytes: u64, seed: u64) -> Result<Self> {
        let bytes = Self::bytes_for(budget_bytes);
        let buckets = (bytes / 8 - HEADER_WORDS as u64) / 8;
        let mut memory = Segment::create(bytes.next_multiple_of(4096))?;
        memory.allocate(bytes.next_multiple_of(4096))?;
        for (word, value) in [(BUCKETS_WORD, buckets), (SEED_WORD, seed), (MAGIC_WORD, MAGIC)] {
            memory.publish(word as u64 * 8, value)?;
        }
        Ok(Self { memory, table: Table::new(buckets, seed), retired: 0 })
    }

    /// A descriptor for a reader.
    ///
    /// # Errors
    /// When the kernel has none left.
    pub fn reopen_read(&self) -> Result<OwnedFd> {
        self.memory.reopen_read()
    }

    /// Leads this name to its bytes, which are in place. `is_same` tells whether a location is
    /// this name's old one: its word is overwritten, so that a reader never finds neither.
    pub fn insert(&mut self, name: &[u8], location: Location, is_same: impl Fn(Location) -> bool) {
        let hash = self.table.hash(name);
        let Some(word) = location.word(Table::tag(hash)) else {
            self.remove(name, is_same);
            return;
        };
        let old = self.table.find(&self.memory, name, |at| is_same(at).then_some(()));
        let free = || self.table.candidates(hash).find(|index| self.memory.load(*index) == 0);
        // Both buckets full: the object is found by asking the store.
        if let Some(index) = old.map(|(index, ())| index).or_else(free) {
            self.publish(index, word);
        }
    }

    /// Leads this name nowhere, if it led to what `is_it` says.
    pub fn remove(&mut self, name: &[u8], is_it: impl Fn(Location) -> bool) {
        if let Some((index, ())) = self.table.find(&self.memory, name, |at| is_it(at).then_some(()))
        {
            self.publish(index, 0);
        }
    }

    /// Leads this name from one location to another, if it led there.
    pub fn redirect(&mut self, name: &[u8], from: Location, to: Location) {
        let found = self.table.find(&self.memory, name, |at| (at == from).then_some(()));
        if let Some((index, ())) = found {
            let word = to.word(Table::tag(self.table.hash(name)));
            self.publish(index, word.unwrap_or(0));
        }
    }

    /// Tells the readers that a segment was retired: they unmap what they do not use.
    pub fn retire_segment(&mut self) {
        self.retired += 1;
        self.publish(RETIRED_WORD, self.retired);
    }

    fn publish(&self, index: usize, word: u64) {
        // The index lies in the table, so in the memory that was allocated for it.
        let published = self.memory.publish(index as u64 * 8, word);
        debug_assert!(published.is_ok(), "a word of the index lies in its memory");
    }
}

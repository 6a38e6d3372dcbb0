//! The shared words under every interleaving that loom can think of.
//!
//! The model's memory is loom's: a read that races with a write, or that comes before the release
//! it depends on, fails the test.

use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use super::table::{Location, Table, Words};

const NAME: &[u8] = b"trades";

struct Shared {
    table: Table,
    words: Vec<AtomicU64>,
    /// The bytes at offset 0, 64, …: written before their word is stored, never after.
    objects: [UnsafeCell<u64>; 2],
}

// SAFETY: loom checks every access to the cells itself; that is what this model is for.
unsafe impl Sync for Shared {}

impl Words for Shared {
    fn load(&self, index: usize) -> u64 {
        self.words[index].load(Ordering::Acquire)
    }
}

impl Shared {
    fn new() -> Self {
        let table = Table::new(1, 7);
        let words = (0..table.words()).map(|_| AtomicU64::new(0)).collect();
        Self { table, words, objects: [UnsafeCell::new(0), UnsafeCell::new(0)] }
    }

    /// As `Writer::insert` does: the bytes, then the word with release, in the old word's place.
    fn put(&self, slot: usize, value: u64, old: Option<usize>) -> usize {
        // SAFETY: loom checks that nobody reads meanwhile.
        self.objects[slot].with_mut(|cell| unsafe { *cell = value });
        let location = Location { container: 1, offset: slot as u64 * 64 };
        let word = location.word(Table::tag(self.table.hash(NAME))).unwrap();
        let index =
            old.unwrap_or_else(|| self.table.candidates(self.table.hash(NAME)).next().unwrap());
        self.words[index].store(word, Ordering::Release);
        index
    }

    fn get(&self) -> Option<u64> {
        let found = self.table.find(self, NAME, |at| {
            let slot = at.offset as usize / 64;
            // SAFETY: loom checks that nobody writes meanwhile.
            Some(self.objects[slot].with(|cell| unsafe { *cell }))
        });
        found.map(|(_, value)| value)
    }
}

#[test]
fn loom_a_reader_finds_nothing_or_all_of_an_object() {
    loom::model(|| {
        let shared = Arc::new(Shared::new());
        let reader = {
            let shared = shared.clone();
            thread::spawn(move || shared.get())
        };

        shared.put(0, 11, None);

        assert!(matches!(reader.join().unwrap(), None | Some(11)));
        assert_eq!(shared.get(), Some(11));
    });
}

#[test]
fn loom_a_reader_of_a_replaced_object_finds_the_old_or_the_new_one() {
    loom::model(|| {
        let shared = Arc::new(Shared::new());
        let index = shared.put(0, 11, None);
        let reader = {
            let shared = shared.clone();
            thread::spawn(move || (shared.get(), shared.get()))
        };

        shared.put(1, 22, Some(index));

        let (first, second) = reader.join().unwrap();
        assert!(matches!(first, Some(11 | 22)), "never neither: {first:?}");
        assert!(second >= first, "never back: {first:?}, then {second:?}");
    });
}

#[test]
fn loom_a_deleted_object_is_not_found_afterwards() {
    loom::model(|| {
        let shared = Arc::new(Shared::new());
        let index = shared.put(0, 11, None);
        let reader = {
            let shared = shared.clone();
            thread::spawn(move || shared.get())
        };

        shared.words[index].store(0, Ordering::Release);

        assert!(matches!(reader.join().unwrap(), None | Some(11)));
        assert_eq!(shared.get(), None);
    });
}

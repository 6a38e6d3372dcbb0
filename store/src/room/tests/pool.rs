//! The pool: what it prepares, what it lends, what it gives up.

use super::super::{Placement, Source};
use super::harness::*;

/// Prepares all that the pool wants, and returns the sizes.
fn fill(store: &mut Store) -> Vec<u64> {
    let mut sizes = Vec::new();
    while let Some((container, bytes)) = store.room.pool_want(store.now_ms) {
        store.room.pool_ready(container);
        sizes.push(bytes);
    }
    store.run();
    sizes
}

fn source(store: &mut Store, text: &str, bytes: u64) -> Source {
    let draft = store.create(ANN, new(text, bytes)).unwrap();
    let Placement::Large { source, .. } = draft.place else { panic!("{draft:?}") };
    source
}

#[test]
fn a_large_room_prepares_one_container_from_the_start() {
    assert_eq!(fill(&mut Store::with_budget(512 * MIB)), [64 * MIB]);
    assert!(fill(&mut Store::with_budget(256 * MIB)).is_empty());
}

#[test]
fn a_size_seen_once_is_prepared_once_and_a_size_seen_twice_twice() {
    let mut store = Store::with_budget(256 * MIB);

    source(&mut store, "a", 9 * MIB);
    assert_eq!(fill(&mut store), [10 * MIB]);
    source(&mut store, "b", 3 * MIB);
    source(&mut store, "c", 9 * MIB + 1);

    // The third create took the first container, and its writer is left alone for a while.
    store.pass(6);
    assert_eq!(fill(&mut store), [10 * MIB, 10 * MIB, 4 * MIB]);
}

#[test]
fn nothing_is_prepared_while_a_writer_copies_into_what_was_ready() {
    let mut store = Store::with_budget(256 * MIB);
    source(&mut store, "a", 9 * MIB);
    fill(&mut store);
    let draft = store.create(ANN, new("b", 9 * MIB)).unwrap();
    assert!(fill(&mut store).is_empty());

    store.room.abort(ANN, draft.object).unwrap();

    assert_eq!(fill(&mut store), [10 * MIB, 10 * MIB]);
}

#[test]
fn a_writer_that_takes_its_time_does_not_keep_the_pool_empty() {
    let mut store = Store::with_budget(256 * MIB);
    source(&mut store, "a", 9 * MIB);
    fill(&mut store);
    source(&mut store, "b", 9 * MIB);
    assert_eq!(store.room.next_deadline_ms(), Some(NOW_MS + 5));

    store.pass(5);

    assert_eq!(fill(&mut store), [10 * MIB, 10 * MIB]);
}

#[test]
fn a_create_takes_the_container_that_fits_best_at_its_exact_charge() {
    let mut store = Store::with_budget(256 * MIB);
    for (text, bytes) in [("a", 3 * MIB), ("b", 9 * MIB)] {
        source(&mut store, text, bytes);
    }
    assert_eq!(fill(&mut store), [10 * MIB, 4 * MIB]);
    let before = store.stat();

    assert_eq!(source(&mut store, "c", 3 * MIB + 1), Source::Pool { bytes: 4 * MIB });

    let after = store.stat();
    assert_eq!(after.draft_bytes - before.draft_bytes, 3 * MIB + 4 * KIB);
    assert_eq!(after.pool_bytes, 10 * MIB);
    assert_eq!(source(&mut store, "d", 20 * MIB), Source::Pool { bytes: 10 * MIB });
    assert_eq!(store.stat().pool_bytes, 0);
}

#[test]
fn a_size_that_comes_again_and_again_is_prepared_as_it_is() {
    let mut store = Store::with_budget(256 * MIB);
    source(&mut store, "a", 16 * MIB + 700);
    let exact = 16 * MIB + 4 * KIB;
    assert_eq!(fill(&mut store), [exact]);

    assert_eq!(source(&mut store, "b", 16 * MIB + 700), Source::Pool { bytes: exact });

    // The largest of its class fits the others, cut.
    source(&mut store, "c", 16 * MIB + 900 * KIB);
    store.pass(60);
    assert_eq!(fill(&mut store), [16 * MIB + 900 * KIB; 2]);
    let cut = Source::Pool { bytes: 16 * MIB + 900 * KIB };
    assert_eq!(source(&mut store, "d", 16 * MIB + 700), cut);
}

#[test]
fn a_container_more_than_twice_the_need_is_left() {
    let mut store = Store::with_budget(256 * MIB);
    source(&mut store, "a", 9 * MIB);
    fill(&mut store);

    assert_eq!(source(&mut store, "b", 4 * MIB), Source::Fresh);
}

#[test]
fn the_pool_goes_first_when_room_is_short() {
    let mut store = Store::with_budget(64 * MIB);
    store.store(ANN, droppable("a", 8 * MIB));
    fill(&mut store);
    assert_eq!(store.stat().pool_bytes, 8 * MIB);

    source(&mut store, "b", 50 * MIB);

    assert_eq!(store.stat().pool_bytes, 0);
    store.get(BOB, "a").unwrap();
}

#[test]
fn the_pool_prepares_nothing_while_someone_waits_for_room() {
    let mut store = Store::with_budget(64 * MIB);
    source(&mut store, "a", 8 * MIB);
    let late = Some(NOW_MS + 1000);
    store.ask_create(ANN, super::super::Create { deadline_ms: late, ..new("b", 60 * MIB) });

    assert!(fill(&mut store).is_empty());
}

#[test]
fn an_idle_pool_is_given_up_but_for_its_first_container() {
    let mut store = Store::with_budget(512 * MIB);
    source(&mut store, "a", 9 * MIB);
    assert_eq!(fill(&mut store), [10 * MIB, 64 * MIB]);
    assert_eq!(store.room.next_deadline_ms(), Some(NOW_MS + 60_000));

    store.pass(60_000);

    assert_eq!(store.stat().pool_bytes, 64 * MIB);
    assert!(fill(&mut store).is_empty());
}

#[test]
fn a_failed_preparation_is_not_tried_again_until_a_create_asks() {
    let mut store = Store::with_budget(256 * MIB);
    source(&mut store, "a", 9 * MIB);
    let (container, _) = store.room.pool_want(NOW_MS).unwrap();

    store.room.pool_failed(container);

    assert_eq!((store.stat().pool_bytes, store.room.pool_want(NOW_MS)), (0, None));
    source(&mut store, "b", 9 * MIB);
    assert!(store.room.pool_want(NOW_MS).is_some());
}

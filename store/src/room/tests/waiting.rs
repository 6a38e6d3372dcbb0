//! Making room, and waiting for it.

use super::super::{Create, Effect};
use super::harness::*;
use crate::error::Kind;

fn patient(text: &str, bytes: u64) -> Create {
    Create { deadline_ms: Some(NOW_MS + 5000), ..new(text, bytes) }
}

/// The containers that the room asked to close.
fn asked(store: &Store) -> Vec<super::super::ContainerId> {
    let retired = store.effects.iter().filter_map(|effect| match effect {
        Effect::Retire { container } => Some(*container),
        _ => None,
    });
    retired.collect()
}

#[test]
fn the_least_recently_used_is_dropped_first_and_what_is_held_never() {
    let mut store = Store::with_budget(4 * MIB);
    for text in ["a", "b", "c", "d"] {
        store.store(ANN, droppable(text, MIB));
    }
    store.get(BOB, "a").unwrap();
    let used = store.get(BOB, "b").unwrap().object;
    store.release(BOB, used);

    store.create(ANN, new("e", MIB)).unwrap();
    assert!(store.room.info(&name("c"), false).is_err());
    store.create(ANN, new("f", 2 * MIB)).unwrap();

    assert_eq!(kind(store.create(ANN, new("g", MIB))), Kind::Full);
    store.get(BOB, "a").unwrap();
    assert_eq!(store.stat().evictions, 3);
}

#[test]
fn nothing_is_dropped_for_what_would_not_fit_even_then() {
    let mut store = Store::with_budget(4 * MIB);
    store.store(ANN, new("kept", 2 * MIB));
    store.store(ANN, droppable("cache", MIB));

    assert_eq!(kind(store.create(ANN, new("a", 3 * MIB))), Kind::Full);

    store.get(BOB, "cache").unwrap();
}

#[test]
fn a_create_waits_for_room_until_someone_releases() {
    let mut store = Store::with_budget(4 * MIB);
    let object = store.store(ANN, droppable("a", 3 * MIB));
    store.get(BOB, "a").unwrap();
    let ticket = store.ask_create(ANN, patient("b", 2 * MIB));
    assert_eq!(store.created(ticket), None);

    store.release(BOB, object);

    store.created(ticket).unwrap().unwrap();
}

#[test]
fn a_create_that_waited_in_vain_fails_as_full() {
    let mut store = Store::with_budget(4 * MIB);
    store.store(ANN, new("a", 3 * MIB));
    let ticket = store.ask_create(ANN, patient("b", 2 * MIB));

    store.pass(4999);
    assert_eq!(store.created(ticket), None);
    store.pass(1);

    assert_eq!(kind(store.created(ticket).unwrap()), Kind::Full);
}

#[test]
fn a_create_without_a_deadline_waits_a_second_for_the_kernel() {
    let mut store = Store::with_budget(4 * MIB);
    store.store(ANN, new("a", 3 * MIB));
    store.gives_back = false;
    store.delete("a");

    let given = store.ask_create(ANN, new("b", 2 * MIB));
    assert_eq!(store.created(given), None);
    store.room.reclaimed(asked(&store)[0]);
    store.created(given).unwrap().unwrap();

    store.effects.clear();
    store.disconnect(ANN);
    let late = store.ask_create(BOB, new("c", 3 * MIB));
    store.pass(1000);
    assert_eq!(kind(store.created(late).unwrap()), Kind::Full);
}

#[test]
fn memory_that_turns_out_to_be_mapped_is_not_waited_for() {
    let mut store = Store::with_budget(4 * MIB);
    store.store(ANN, new("a", 3 * MIB));
    store.gives_back = false;
    store.delete("a");
    let ticket = store.ask_create(ANN, new("b", 2 * MIB));

    let container = asked(&store)[0];
    store.room.still_held(container);

    assert_eq!(kind(store.created(ticket).unwrap()), Kind::Full);
    assert_eq!(kind(store.create(ANN, new("c", 2 * MIB))), Kind::Full);
    store.room.reclaimed(container);
    store.create(ANN, new("c", 2 * MIB)).unwrap();
}

#[test]
fn room_is_given_in_the_order_of_asking() {
    let mut store = Store::with_budget(4 * MIB);
    let blocker = store.create(BOB, new("x", 4 * MIB)).unwrap();
    let first = store.ask_create(ANN, patient("a", 3 * MIB));
    let second = store.ask_create(ANN, patient("b", MIB));
    let third = store.ask_create(ANN, patient("c", MIB));

    store.room.abort(BOB, blocker.object).unwrap();

    store.created(first).unwrap().unwrap();
    store.created(second).unwrap().unwrap();
    assert_eq!(store.created(third), None);
}

#[test]
fn small_creates_do_not_overtake_a_large_one_for_ever() {
    let mut store = Store::with_budget(8 * MIB);
    let blocker = store.create(BOB, new("x", 4 * MIB)).unwrap();
    let large = store.ask_create(ANN, patient("large", 5 * MIB));
    let mut passed = 0;

    // The small ones come and go without end; each would fit while the large one waits.
    for n in 0..100 {
        let ticket = store.ask_create(ANN, new(&format!("small{n}"), MIB));
        if let Ok(draft) = store.created(ticket).unwrap() {
            passed += 1;
            store.room.abort(ANN, draft.object).unwrap();
            store.run();
        }
    }

    assert_eq!(passed, 5);
    store.room.abort(BOB, blocker.object).unwrap();
    store.created(large).unwrap().unwrap();
}

#[test]
fn who_waits_for_room_and_dies_waits_no_more() {
    let mut store = Store::with_budget(4 * MIB);
    let blocker = store.create(BOB, new("x", 4 * MIB)).unwrap();
    let ticket = store.ask_create(ANN, patient("a", 3 * MIB));

    store.disconnect(ANN);
    store.room.abort(BOB, blocker.object).unwrap();

    assert_eq!(store.created(ticket), None);
    assert_eq!((store.stat().queued, store.stat().free_bytes), (0, 4 * MIB));
    assert_eq!(store.room.next_deadline_ms(), None);
}

#[test]
fn a_name_taken_while_its_create_waits_is_refused_when_its_turn_comes() {
    let mut store = Store::with_budget(4 * MIB);
    let blocker = store.create(BOB, new("x", 3 * MIB)).unwrap();
    let ticket = store.ask_create(ANN, patient("a", 2 * MIB));
    store.put(BOB, new("a", 100)).unwrap();

    store.room.abort(BOB, blocker.object).unwrap();

    assert_eq!(kind(store.created(ticket).unwrap()), Kind::Exists);
}

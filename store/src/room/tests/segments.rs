//! Segments: how small objects share memory, and how it comes back.

use super::super::{Answer, Config, Effect, SEGMENT_HEADER};
use super::harness::*;
use crate::error::Kind;

/// A room whose segments hold four objects of 15 KiB each.
fn narrow(budget_bytes: u64) -> Store {
    let config = Config::for_budget(budget_bytes);
    Store::with(Config { segment_bytes: 64 * KIB, small_bytes: 16 * KIB, ..config })
}

const BYTES: u64 = 15 * KIB;
const FOOTPRINT: u64 = SEGMENT_HEADER + 64 + BYTES;

fn opened(store: &Store) -> usize {
    store.effects.iter().filter(|effect| matches!(effect, Effect::OpenSegment { .. })).count()
}

fn moved(store: &Store) -> Vec<String> {
    let moved = store.effects.iter().filter_map(|effect| match effect {
        Effect::Move { name, .. } => Some(name.to_string()),
        _ => None,
    });
    moved.collect()
}

#[test]
fn small_objects_lie_behind_one_another() {
    let mut store = Store::with_budget(4 * MIB);

    let first = store.put(ANN, new("a", 100)).unwrap();
    let second = store.put(ANN, new("b", 100)).unwrap();

    let places = [first, second].map(|object| store.room.location(object).unwrap());
    assert_eq!(places[0].offset, 128);
    assert_eq!(places[1].offset, 128 + 128 + 128);
    assert_eq!(store.stat().sealed_bytes, 2 * 256);
    assert_eq!(store.stat().slack_bytes, 64 * KIB - 2 * 256);
}

#[test]
fn a_segment_grows_by_steps_and_when_room_is_short_by_pages() {
    let mut store = Store::with_budget(4 * MIB);
    store.create(ANN, new("a", 4 * MIB - 8 * KIB)).unwrap();

    store.put(ANN, new("b", 100)).unwrap();

    let grown = |effect: &Effect| matches!(effect, Effect::GrowSegment { allocated: 4096, .. });
    assert!(store.effects.iter().any(grown));
}

#[test]
fn a_put_is_written_before_it_is_answered_and_answered_before_its_readers() {
    let mut store = Store::with_budget(4 * MIB);
    let get = store.ask_get(BOB, &["a"], Some(100));

    let put = store.ask_put(ANN, new("a", 100));
    store.run();

    let order = store.effects.iter().filter_map(|effect| match effect {
        Effect::OpenSegment { .. } => Some("open"),
        Effect::GrowSegment { .. } => Some("grow"),
        Effect::Write { .. } => Some("write"),
        Effect::Answer { ticket, .. } if *ticket == put => Some("stored"),
        Effect::Answer { ticket, .. } if *ticket == get => Some("got"),
        _ => None,
    });
    assert_eq!(order.collect::<Vec<_>>(), ["open", "grow", "write", "stored", "got"]);
}

#[test]
fn an_empty_segment_is_kept_for_the_next_put_and_given_back_with_the_last_client() {
    let mut store = Store::with_budget(4 * MIB);
    store.put(ANN, new("a", 100)).unwrap();
    store.put(ANN, new("b", 100)).unwrap();

    store.delete("a");
    assert_eq!(store.stat().slack_bytes, 64 * KIB - 256);
    store.delete("b");
    assert_eq!(store.stat().slack_bytes, 64 * KIB);
    store.put(ANN, new("c", 100)).unwrap();
    assert_eq!(opened(&store), 1);
    store.delete("c");

    store.disconnect(ANN);
    store.disconnect(BOB);

    assert_eq!(store.stat().free_bytes, 4 * MIB);
}

#[test]
fn a_dead_object_that_is_held_keeps_its_segment() {
    let mut store = Store::with_budget(4 * MIB);
    let object = store.put(ANN, new("a", 5000)).unwrap();
    store.get(BOB, "a").unwrap();

    store.delete("a");
    assert_eq!(store.stat().retired_bytes, 64 * KIB);
    store.release(BOB, object);

    assert_eq!(store.stat().free_bytes, 4 * MIB);
}

#[test]
fn a_segment_that_has_thinned_out_is_emptied() {
    let mut store = narrow(4 * MIB);
    for text in ["a", "b", "c", "d", "e"] {
        store.put(ANN, new(text, BYTES)).unwrap();
    }
    assert_eq!(opened(&store), 2);

    store.delete("a");
    store.delete("b");
    assert_eq!(moved(&store), [""; 0]);
    store.delete("c");

    assert_eq!(moved(&store), ["d"]);
    assert_eq!(store.stat().segments, 1);
    assert_eq!(store.stat().sealed_bytes, 2 * FOOTPRINT);
}

#[test]
fn a_moved_object_keeps_its_holders() {
    let mut store = narrow(4 * MIB);
    for text in ["a", "b", "c", "d", "e"] {
        store.put(ANN, new(text, BYTES)).unwrap();
    }
    let before = store.get(BOB, "d").unwrap();
    for text in ["a", "b", "c"] {
        store.delete(text);
    }

    let info = store.room.info(&name("d"), true).unwrap();
    assert_eq!(info.holders[0].holds, 1);
    assert_ne!(store.room.location(before.object), Some(before.place));
    store.release(BOB, before.object);
}

#[test]
fn dead_bytes_become_room_when_it_is_short() {
    let mut store = narrow(256 * KIB);
    for text in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        store.put(ANN, new(text, BYTES)).unwrap();
    }
    for text in ["a", "b", "e", "f"] {
        store.delete(text);
    }
    assert_eq!(store.stat().slack_bytes, 128 * KIB - 4 * FOOTPRINT);

    store.create(ANN, new("large", 180 * KIB)).unwrap();

    assert_eq!(moved(&store).len(), 4);
}

#[test]
fn a_small_seal_never_needs_more_than_its_reservation() {
    let mut store = Store::with_budget(64 * KIB);
    let drafts: Vec<_> =
        (0..8).map(|n| store.create(ANN, new(&format!("{n}"), 7 * KIB)).unwrap()).collect();
    assert_eq!(store.stat().free_bytes, 0);

    for draft in drafts {
        store.seal(ANN, draft, 7 * KIB).unwrap();
    }

    assert_eq!(store.stat().sealed_bytes, 8 * (7 * KIB + 128));
}

/// Ann's "a" of 4000 bytes, after which the segment is full and the kernel has no more memory.
fn exhausted() -> Store {
    let mut store = narrow(4 * MIB);
    store.put(ANN, new("a", 4000)).unwrap();
    for text in ["b", "c", "d"] {
        store.put(ANN, new(text, BYTES)).unwrap();
    }
    store.no_memory = true;
    store
}

#[test]
fn a_put_without_memory_leaves_the_object_that_it_would_replace() {
    let mut store = exhausted();
    let (before, slack) = (store.get(BOB, "a").unwrap(), store.stat().slack_bytes);
    let get = store.ask_get(BOB, &["new"], Some(100));

    assert_eq!(kind(store.put(ANN, replacing("a", BYTES))), Kind::Full);
    assert_eq!(kind(store.put(ANN, new("new", BYTES))), Kind::Full);

    assert_eq!(store.get(BOB, "a").unwrap(), before);
    assert_eq!((store.stat().names, store.stat().objects), (4, 4));
    assert_eq!((store.stat().slack_bytes, store.stat().segments), (slack, 1));
    assert_eq!(store.got(get), None, "it may still come");
}

#[test]
fn a_small_seal_without_memory_ends_the_draft_and_leaves_what_it_would_replace() {
    let mut store = exhausted();
    let before = store.get(BOB, "a").unwrap();
    let draft = store.create(ANN, replacing("a", BYTES)).unwrap();

    assert_eq!(kind(store.seal(ANN, draft, BYTES)), Kind::Full);

    assert_eq!(store.get(BOB, "a").unwrap(), before);
    assert_eq!((store.stat().drafts, store.stat().draft_bytes, store.stat().objects), (0, 0, 4));
    assert_eq!(kind(store.room.abort(ANN, draft.object)), Kind::Invalid);
}

#[test]
fn a_segment_that_could_not_grow_takes_what_fits_and_grows_later() {
    let mut store = narrow(4 * MIB);
    store.create(ANN, new("large", 4 * MIB - 64 * KIB)).unwrap();
    let filler = store.create(ANN, new("filler", 56 * KIB)).unwrap();
    store.put(ANN, new("a", 3000)).unwrap();
    store.room.abort(ANN, filler.object).unwrap();
    store.no_memory = true;

    assert_eq!(kind(store.put(ANN, new("b", BYTES))), Kind::Full);
    let small = store.put(ANN, new("b", 500)).unwrap();
    store.no_memory = false;
    let grown = store.put(ANN, new("c", BYTES)).unwrap();

    assert_eq!(opened(&store), 1);
    let offsets = [small, grown].map(|object| store.room.location(object).unwrap().offset);
    assert_eq!(offsets, [3136 + 128, 3136 + 640 + 128], "no gap, and no place twice");
}

#[test]
fn who_waits_for_memory_lands_in_order_or_not_at_all() {
    let mut store = narrow(4 * MIB);
    let first = store.ask_put(ANN, new("a", 100));
    let second = store.ask_put(ANN, new("a", 100));
    let third = store.ask_put(BOB, new("b", 100));
    assert!(store.room.info(&name("a"), false).is_err());
    store.room.disconnect(BOB);

    assert!(matches!(store.answer(first), Some(Answer::Stored(_))));
    let Some(Answer::Failed(error)) = store.answer(second) else { panic!("it has a name twice") };
    assert_eq!(error.kind(), Kind::Exists);
    assert_eq!(store.answer(third), None, "its client has left");

    assert_eq!((store.stat().names, store.stat().sealed_bytes), (1, 256));
    store.delete("a");
    store.disconnect(ANN);
    assert_eq!(store.stat().free_bytes, 4 * MIB);
}

/// A room in which the segment of "d" is to be emptied, and the effects of that, not carried out.
fn emptying(store: &mut Store) -> Vec<Effect> {
    for text in ["a", "b", "c", "d", "e"] {
        store.put(ANN, new(text, BYTES)).unwrap();
    }
    // So that "d" needs a page that the segment of "e" does not have.
    for text in ["f", "g", "h"] {
        store.put(ANN, new(text, BYTES)).unwrap();
    }
    for text in ["a", "b", "c"] {
        store.room.delete(ANN, &name(text)).unwrap();
    }
    store.room.take_effects()
}

#[test]
fn nothing_moves_before_there_is_memory() {
    let mut store = narrow(4 * MIB);
    let effects = emptying(&mut store);

    let moves = |effect: &Effect| matches!(effect, Effect::Move { .. } | Effect::Retire { .. });
    assert!(!effects.iter().any(moves));
    let Some(Effect::GrowSegment { container, allocated }) = effects.last() else {
        panic!("it asks for memory");
    };
    store.room.segment_grown(*container, *allocated);

    store.run();
    assert_eq!(moved(&store), ["d"]);
    assert_eq!(store.stat().segments, 2);
}

#[test]
fn what_cannot_move_for_lack_of_memory_stays_where_it_is() {
    let mut store = narrow(4 * MIB);
    let effects = emptying(&mut store);
    let before = store.room.info(&name("d"), false).unwrap();
    let Some(Effect::GrowSegment { container, .. }) = effects.last() else {
        panic!("it asks for memory");
    };

    store.room.segment_failed(*container);
    store.run();

    assert_eq!(store.room.info(&name("d"), false).unwrap(), before);
    assert_eq!(moved(&store), [""; 0]);
    assert_eq!((store.stat().segments, store.stat().sealed_bytes), (2, 5 * FOOTPRINT));
    store.pass(60_000);
    for text in ["d", "e", "f", "g", "h"] {
        store.delete(text);
    }
    store.disconnect(ANN);
    store.disconnect(BOB);
    assert_eq!(store.stat().free_bytes, 4 * MIB, "nothing is owed");
}

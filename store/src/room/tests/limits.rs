//! Limits: how much of each thing a client may have, and what nonsense does.

use super::super::{ClientId, Config, Create, Limits, ObjectId, Ticket};
use super::harness::*;
use crate::error::Kind;

fn limited() -> Store {
    let limits = Limits {
        drafts_per_client: 2,
        waits_per_client: 2,
        watches_per_client: 2,
        objects: 4,
        metadata_bytes: 100,
    };
    Store::with(Config { limits, ..Config::for_budget(4 * MIB) })
}

#[test]
fn a_client_has_so_many_drafts_and_no_more() {
    let mut store = limited();
    store.create(ANN, new("a", 1)).unwrap();
    store.create(ANN, new("b", 1)).unwrap();

    assert_eq!(kind(store.create(ANN, new("c", 1))), Kind::Full);
    store.create(BOB, new("c", 1)).unwrap();
}

#[test]
fn a_client_waits_and_watches_so_often_and_no_more() {
    let mut store = limited();
    for n in 0..2 {
        store.room.get(NOW_MS, ANN, Ticket(n), vec![name("a")], Some(NOW_MS + 9), true);
        store.room.watch(ANN, Ticket(10 + n), Vec::new(), false).unwrap();
    }

    store.room.get(NOW_MS, ANN, Ticket(5), vec![name("a")], Some(NOW_MS + 9), true);

    let refused = store.answer(Ticket(5));
    assert!(matches!(refused, Some(super::super::Answer::Failed(e)) if e.kind() == Kind::Full));
    assert_eq!(kind(store.room.watch(ANN, Ticket(20), Vec::new(), false)), Kind::Full);
}

#[test]
fn objects_and_metadata_are_limited_for_all_together() {
    let mut store = limited();
    let tagged = Create { metadata: vec![0; 60].into(), ..new("a", 1) };
    store.put(ANN, tagged.clone()).unwrap();

    assert_eq!(kind(store.put(ANN, Create { name: name("b"), ..tagged.clone() })), Kind::Full);
    for text in ["b", "c", "d"] {
        store.put(ANN, new(text, 1)).unwrap();
    }
    assert_eq!(kind(store.put(ANN, new("e", 1))), Kind::Full);
    store.delete("a");

    store.put(ANN, Create { name: name("e"), ..tagged }).unwrap();
}

#[test]
fn a_ticket_in_use_is_refused() {
    let mut store = limited();
    store.room.get(NOW_MS, ANN, Ticket(1), vec![name("a")], Some(NOW_MS + 9), true);

    store.room.create(NOW_MS, ANN, Ticket(1), new("b", 1));

    let refused = store.answer(Ticket(1));
    assert!(matches!(refused, Some(super::super::Answer::Failed(e)) if e.kind() == Kind::Invalid));
    assert_eq!(store.stat().waits, 1);
}

#[test]
fn strangers_and_unknown_things_are_refused_and_change_nothing() {
    let mut store = Store::with_budget(4 * MIB);
    let (stranger, unknown) = (ClientId(99), ObjectId(99));

    assert_eq!(kind(store.put(stranger, new("a", 1))), Kind::Unavailable);
    assert_eq!(kind(store.room.release(stranger, unknown, 1)), Kind::Unavailable);
    assert_eq!(kind(store.room.release(ANN, unknown, u64::MAX)), Kind::Invalid);
    assert_eq!(kind(store.room.abort(ANN, unknown)), Kind::Invalid);
    assert_eq!(kind(store.room.seal_begin(ANN, unknown, 0)), Kind::Invalid);
    assert_eq!(kind(store.room.delete(stranger, &name("a"))), Kind::Unavailable);
    store.room.disconnect(stranger);
    store.room.cancel(stranger, Ticket(1));
    store.room.reclaimed(super::super::ContainerId(9));
    store.room.still_held(super::super::ContainerId(9));
    store.room.pool_failed(super::super::ContainerId(9));
    store.room.segment_failed(super::super::ContainerId(9));
    store.room.tick(u64::MAX);
    store.create(ANN, new("late", MIB)).unwrap();
    let _ = (store.room.pool_want(u64::MAX), store.room.next_deadline_ms());
    store.disconnect(ANN);
    store.room.tick(0);

    assert_eq!(store.stat().free_bytes, 4 * MIB);
}

#[test]
fn a_room_of_absurd_sizes_refuses_rather_than_panics() {
    for size in [0, 1, 4096, u64::MAX] {
        let config = Config {
            budget_bytes: size,
            segment_bytes: size,
            small_bytes: size,
            inline_bytes: size,
            pool_bytes: size,
            limits: Limits::default(),
        };
        let mut store = Store::with(config);

        for bytes in [0, 1, 4096, MIB, u64::MAX] {
            let _ = store.put(ANN, replacing("a", bytes));
            let _ = store.create(ANN, new("b", bytes));
        }

        assert!(store.room.pool_want(NOW_MS).is_none_or(|_| size == u64::MAX));
    }
    assert_eq!(Config::for_budget(0).segment_bytes, 256 * KIB);
}

//! Get, hold, release, and waiting for objects.

use super::harness::*;
use crate::error::Kind;

#[test]
fn a_get_decides_each_name_on_its_own() {
    let mut store = Store::with_budget(4 * MIB);
    let object = store.store(ANN, new("a", MIB));
    store.create(ANN, new("b", 100)).unwrap();

    let ticket = store.ask_get(BOB, &["a", "b", "c", "a"], None);
    let results = store.got(ticket).unwrap();

    assert_eq!(results[0].as_ref().unwrap().object, object);
    assert_eq!(results[3].as_ref().unwrap().object, object);
    let messages = [1, 2].map(|index| results[index].as_ref().unwrap_err().message().to_owned());
    assert_eq!(messages[0], "object b is a draft that pid 4711 still writes: wait for it");
    assert_eq!(messages[1], "there is no object c: create it, or wait for it");
    store.room.release(BOB, object, 2).unwrap();
}

#[test]
fn a_tiny_object_is_granted_without_a_hold() {
    let mut store = Store::with_budget(4 * MIB);
    let tiny = store.put(ANN, new("tiny", 4096)).unwrap();
    let small = store.put(ANN, new("small", 4097)).unwrap();

    assert!(!store.get(BOB, "tiny").unwrap().held);
    assert!(store.get(BOB, "small").unwrap().held);

    assert_eq!(kind(store.room.release(BOB, tiny, 1)), Kind::Invalid);
    store.room.release(BOB, small, 1).unwrap();
}

#[test]
fn an_excess_release_changes_nothing() {
    let mut store = Store::with_budget(4 * MIB);
    let object = store.store(ANN, new("a", MIB));
    store.get(BOB, "a").unwrap();

    assert_eq!(kind(store.room.release(BOB, object, 2)), Kind::Invalid);
    assert_eq!(kind(store.room.release(ANN, object, 1)), Kind::Invalid);

    store.room.release(BOB, object, 1).unwrap();
}

#[test]
fn a_waiting_get_is_answered_by_the_seal() {
    let mut store = Store::with_budget(4 * MIB);
    let ticket = store.ask_get(BOB, &["a", "b"], Some(500));

    store.store(ANN, new("a", 100));
    assert_eq!(store.got(ticket), None);
    store.store(ANN, new("b", MIB));

    let results = store.got(ticket).unwrap();
    assert!(results.iter().all(Result::is_ok));
}

#[test]
fn a_waiting_get_times_out_name_by_name() {
    let mut store = Store::with_budget(4 * MIB);
    store.store(ANN, new("a", MIB));
    let ticket = store.ask_get(BOB, &["a", "b"], Some(500));
    assert_eq!(store.room.next_deadline_ms(), Some(NOW_MS + 500));

    store.pass(499);
    assert_eq!(store.got(ticket), None);
    store.pass(1);

    let results = store.got(ticket).unwrap();
    assert!(results[0].as_ref().unwrap().held);
    assert_eq!(results[1].as_ref().unwrap_err().kind(), Kind::Timeout);
}

#[test]
fn a_waiter_learns_at_once_that_its_writer_died() {
    let mut store = Store::with_budget(4 * MIB);
    store.create(ANN, new("a", MIB)).unwrap();
    let ticket = store.ask_get(BOB, &["a"], Some(60_000));

    store.disconnect(ANN);

    assert_eq!(kind(store.got(ticket).unwrap().remove(0)), Kind::WriterGone);
}

#[test]
fn a_waiter_stays_while_another_draft_of_the_name_lives() {
    let mut store = Store::with_budget(4 * MIB);
    store.create(ANN, replacing("a", MIB)).unwrap();
    let other = store.create(BOB, replacing("a", MIB)).unwrap();
    let ticket = store.ask_get(BOB, &["a"], Some(60_000));

    store.disconnect(ANN);
    assert_eq!(store.got(ticket), None);
    store.room.abort(BOB, other.object).unwrap();

    assert_eq!(kind(store.got(ticket).unwrap().remove(0)), Kind::WriterGone);
}

#[test]
fn a_name_found_early_is_kept_for_the_one_who_waits() {
    let mut store = Store::with_budget(4 * MIB);
    store.store(ANN, droppable("a", MIB));
    let ticket = store.ask_get(BOB, &["a", "b"], Some(500));

    assert_eq!(store.room.evict(MIB), 0);
    store.delete("a");
    store.pass(500);

    let grant = store.got(ticket).unwrap().remove(0).unwrap();
    assert_eq!(store.room.location(grant.object), Some(grant.place));
    store.release(BOB, grant.object);
    assert_eq!(store.stat().free_bytes, 4 * MIB);
}

#[test]
fn a_cancelled_get_lets_go_of_what_it_found() {
    let mut store = Store::with_budget(4 * MIB);
    store.store(ANN, droppable("a", MIB));
    let ticket = store.ask_get(BOB, &["a", "b"], Some(500));

    store.room.cancel(BOB, ticket);
    store.room.cancel(BOB, ticket);

    let answer = store.answer(ticket);
    assert!(matches!(&answer, Some(super::super::Answer::Failed(e)) if e.kind() == Kind::Timeout));
    assert_eq!(store.room.evict(1), MIB);
}

#[test]
fn a_get_without_hold_only_says_what_is_there() {
    let mut store = Store::with_budget(4 * MIB);
    let object = store.store(ANN, new("a", MIB));
    let ticket = super::super::Ticket(99);

    store.room.get(NOW_MS, BOB, ticket, vec![name("a")], None, false);

    assert!(!store.got(ticket).unwrap().remove(0).unwrap().held);
    assert_eq!(kind(store.room.release(BOB, object, 1)), Kind::Invalid);
}

#[test]
fn a_dead_reader_holds_nothing() {
    let mut store = Store::with_budget(4 * MIB);
    store.store(ANN, new("a", MIB));
    store.get(BOB, "a").unwrap();
    store.delete("a");

    store.disconnect(BOB);

    assert_eq!(store.stat().free_bytes, 4 * MIB);
}

#[test]
fn what_is_held_and_what_was_handed_out_are_counted() {
    let mut store = Store::with_budget(4 * MIB);
    let large = store.store(ANN, new("large", MIB));
    store.store(ANN, new("tiny", 100));

    for text in ["large", "large", "tiny"] {
        store.get(BOB, text).unwrap();
    }
    store.delete("large");

    let stat = store.stat();
    assert_eq!((stat.held, stat.held_bytes, stat.get_bytes), (1, MIB, 2 * MIB + 100));
    store.room.release(BOB, large, 2).unwrap();
    assert_eq!((store.stat().held, store.stat().held_bytes), (0, 0));
}

//! Names: who is bound to one, and what watchers and lists see of it.

use super::super::Ticket;
use super::harness::*;
use crate::error::Kind;
use crate::object::{EventKind, Info, State};

#[test]
fn a_name_is_taken_from_its_draft_on() {
    let mut store = Store::with_budget(4 * MIB);
    let draft = store.create(ANN, new("a", 100)).unwrap();

    assert_eq!(kind(store.create(BOB, new("a", 100))), Kind::Exists);
    store.seal(ANN, draft, 100).unwrap();

    assert_eq!(kind(store.put(BOB, new("a", 100))), Kind::Exists);
}

#[test]
fn a_replacement_is_seen_only_once_it_is_sealed() {
    let mut store = Store::with_budget(4 * MIB);
    let old = store.store(ANN, new("a", MIB));
    let draft = store.create(ANN, replacing("a", MIB)).unwrap();

    let before = store.get(BOB, "a").unwrap();
    assert_eq!(before.object, old);
    store.seal(ANN, draft, MIB).unwrap();

    assert_eq!(store.get(BOB, "a").unwrap().object, draft.object);
    assert_eq!(store.room.location(old), Some(before.place));
}

#[test]
fn of_several_replacements_the_last_seal_wins() {
    let mut store = Store::with_budget(4 * MIB);
    let first = store.create(ANN, replacing("a", 100)).unwrap();
    let second = store.create(BOB, replacing("a", 100)).unwrap();

    store.seal(BOB, second, 100).unwrap();
    store.seal(ANN, first, 100).unwrap();

    assert_eq!(store.get(BOB, "a").unwrap().object, first.object);
}

#[test]
fn a_draft_that_was_overtaken_ends_at_its_seal() {
    let mut store = Store::with_budget(4 * MIB);
    let slow = store.create(ANN, new("a", 100)).unwrap();
    let fast = store.create(BOB, replacing("a", 100)).unwrap();
    store.seal(BOB, fast, 100).unwrap();

    assert_eq!(kind(store.seal(ANN, slow, 100)), Kind::Exists);

    assert_eq!(store.stat().drafts, 0);
    assert_eq!(store.get(BOB, "a").unwrap().object, fast.object);
}

#[test]
fn a_draft_is_not_for_others_to_delete() {
    let mut store = Store::with_budget(4 * MIB);
    store.create(BOB, new("a", 100)).unwrap();

    assert_eq!(kind(store.room.delete(ANN, &name("a"))), Kind::Denied);
    assert_eq!(kind(store.room.delete(BOB, &name("a"))), Kind::Invalid);
    assert_eq!(kind(store.room.delete(BOB, &name("b"))), Kind::NotFound);
}

#[test]
fn a_watch_sees_its_prefix_in_order_and_the_past_on_request() {
    let mut store = Store::with_budget(4 * MIB);
    store.store(ANN, new("x/1", 100));
    store.store(ANN, new("y/1", 100));
    store.effects.clear();

    store.watch("x/", true);
    store.store(ANN, new("x/2", 100));
    store.store(ANN, new("y/2", 100));
    store.store(ANN, replacing("x/1", 100));
    store.delete("x/2");

    let seen = [
        (EventKind::Sealed, "x/1"),
        (EventKind::Created, "x/2"),
        (EventKind::Sealed, "x/2"),
        (EventKind::Created, "x/1"),
        (EventKind::Sealed, "x/1"),
        (EventKind::Deleted, "x/2"),
    ];
    assert_eq!(store.events(), seen.map(|(kind, name)| (kind, name.to_owned())));
}

#[test]
fn a_replacing_draft_that_ends_says_nothing_of_the_object_that_stays() {
    let mut store = Store::with_budget(4 * MIB);
    store.store(ANN, new("a", 100));
    let draft = store.create(ANN, replacing("a", 100)).unwrap();
    store.watch("", false);

    store.room.abort(ANN, draft.object).unwrap();

    assert_eq!(store.events(), []);
}

#[test]
fn a_list_has_each_name_once_in_pages() {
    let mut store = Store::with_budget(4 * MIB);
    for text in ["a/3", "a/1", "b/1"] {
        store.store(ANN, new(text, 100));
    }
    store.create(ANN, new("a/2", 100)).unwrap();
    store.create(ANN, replacing("a/3", 100)).unwrap();

    let (page, more) = store.room.list(b"a/", None, 2, true);
    let (rest, end) = store.room.list(b"a/", Some(b"a/2"), 2, true);

    let names: Vec<_> = page.iter().chain(&rest).map(|info| info.name.to_string()).collect();
    assert_eq!((names, more, end), (vec!["a/1".into(), "a/2".into(), "a/3".into()], true, false));
    assert_eq!((page[1].state, page[1].holders[0].writer), (State::Draft, true));
    assert_eq!((rest[0].state, rest[0].holders.len()), (State::Sealed, 0));
}

#[test]
fn what_lost_its_name_is_listed_while_it_is_held() {
    let mut store = Store::with_budget(4 * MIB);
    let object = store.store(ANN, new("a", MIB));
    store.get(BOB, "a").unwrap();
    store.get(BOB, "a").unwrap();
    store.delete("a");

    let retired = store.room.list(b"", None, 10, true).0;
    assert_eq!((retired[0].state, retired[0].holders[0].holds), (State::Retired, 2));
    store.release(BOB, object);
    store.release(BOB, object);

    assert_eq!(store.room.list(b"", None, 10, true).0, []);
    assert_eq!(kind(store.room.info(&name("a"), false)), Kind::NotFound);
}

#[test]
fn pages_with_holders_have_the_retired_objects_behind_their_names() {
    let mut store = Store::with_budget(4 * MIB);
    for text in ["a", "b", "b", "b", "c"] {
        store.put(ANN, replacing(text, 5000)).unwrap();
        store.get(BOB, text).unwrap();
    }
    store.delete("c");

    let (first, more) = store.room.list(b"", None, 3, true);
    let (second, ends) = store.room.list(b"", Some(b"a"), 3, true);
    let (third, _) = store.room.list(b"", Some(b"b"), 3, true);

    let seen = |infos: &[Info]| -> Vec<_> {
        infos.iter().map(|info| (info.name.to_string(), info.state)).collect()
    };
    let (sealed, retired) = (State::Sealed, State::Retired);
    assert_eq!(seen(&first), [("a".into(), sealed)], "a name is not torn apart");
    let b = [sealed, retired, retired].map(|state| ("b".to_owned(), state));
    assert_eq!(seen(&second), b);
    assert_eq!(seen(&third), [("c".into(), retired)]);
    assert!(more && ends);
    assert_eq!(store.room.list(b"", None, 10, false).0.len(), 2);
}

#[test]
fn a_replay_goes_on_page_by_page_beside_what_happens() {
    use EventKind::{Created, Deleted, Sealed};
    let mut store = Store::with_budget(4 * MIB);
    for text in ["a", "b", "c", "d"] {
        store.put(ANN, new(text, 100)).unwrap();
    }
    store.create(ANN, new("old", 100)).unwrap();
    store.effects.clear();
    store.room.watch(BOB, Ticket(99), vec![], true).unwrap();

    assert!(store.room.replay(BOB, Ticket(99), 2));
    store.delete("a"); // Behind the replay: told.
    store.delete("d"); // Before it: never heard of.
    store.put(ANN, replacing("c", 100)).unwrap();
    store.create(ANN, replacing("c", 100)).unwrap();
    assert!(store.room.replay(BOB, Ticket(99), 1));
    store.put(ANN, new("cc", 100)).unwrap();
    assert!(!store.room.replay(BOB, Ticket(99), 2));
    store.put(ANN, new("e", 100)).unwrap();

    let told = [
        (Sealed, "a"),
        (Sealed, "b"),
        (Deleted, "a"),
        (Sealed, "c"),
        (Created, "c"),
        (Sealed, "cc"),
        (Sealed, "e"),
    ];
    assert_eq!(store.events(), told.map(|(kind, name)| (kind, name.to_owned())));
    assert!(!store.room.replay(BOB, Ticket(99), 2), "it has ended");
}

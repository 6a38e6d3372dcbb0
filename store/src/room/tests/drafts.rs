//! Drafts: growing, sealing, ending.

use super::super::{Placement, SealOutcome, Source};
use super::harness::*;
use crate::error::{Error, Kind};

#[test]
fn a_second_seal_is_refused() {
    let mut store = Store::with_budget(8 * MIB);
    let draft = store.create(ANN, new("a", 2 * MIB)).unwrap();
    store.room.seal_begin(ANN, draft.object, 2 * MIB).unwrap();

    assert_eq!(kind(store.room.seal_begin(ANN, draft.object, 2 * MIB)), Kind::Invalid);
    assert_eq!(kind(store.room.abort(ANN, draft.object)), Kind::Invalid);
}

#[test]
fn a_stranger_cannot_touch_a_draft() {
    let mut store = Store::with_budget(8 * MIB);
    let draft = store.create(ANN, new("a", 2 * MIB)).unwrap();

    assert_eq!(kind(store.room.abort(BOB, draft.object)), Kind::Invalid);
    assert_eq!(kind(store.room.seal_begin(BOB, draft.object, 1)), Kind::Invalid);
    let ticket = store.ask_grow(BOB, draft.object, 3 * MIB);
    assert_eq!(kind(store.created(ticket).unwrap()), Kind::Invalid);
}

#[test]
fn a_seal_longer_than_the_draft_is_refused() {
    let mut store = Store::with_budget(8 * MIB);
    let draft = store.create(ANN, new("a", 100)).unwrap();

    let sealed = store.seal(ANN, draft, 101);

    assert_eq!(kind(sealed), Kind::Invalid);
}

#[test]
fn a_busy_seal_leaves_a_draft_that_can_be_sealed_again() {
    let mut store = Store::with_budget(8 * MIB);
    let draft = store.create(ANN, new("a", 2 * MIB)).unwrap();
    store.room.seal_begin(ANN, draft.object, 2 * MIB).unwrap();

    let busy = store.room.seal_end(NOW_MS, draft.object, SealOutcome::Busy);
    assert_eq!(kind(busy), Kind::Invalid);

    store.seal(ANN, draft, 2 * MIB).unwrap();
    store.get(BOB, "a").unwrap();
}

#[test]
fn refused_bytes_end_the_draft_and_its_waiters_learn_why() {
    let mut store = Store::with_budget(8 * MIB);
    let draft = store.create(ANN, new("a", 2 * MIB)).unwrap();
    let ticket = store.ask_get(BOB, &["a"], Some(500));
    store.room.seal_begin(ANN, draft.object, 2 * MIB).unwrap();

    let refused = SealOutcome::Refused(Error::new(Kind::Invalid, "no Arrow file"));
    let sealed = store.room.seal_end(NOW_MS, draft.object, refused);

    assert_eq!(kind(sealed), Kind::Invalid);
    let error = store.got(ticket).unwrap().remove(0).unwrap_err();
    assert_eq!(error.kind(), Kind::WriterGone);
    assert_eq!(error.message(), "object a will not come: no Arrow file");
    assert_eq!(store.stat().free_bytes, 8 * MIB);
}

#[test]
fn a_draft_being_sealed_outlives_its_writer_until_the_seal_ends() {
    let mut store = Store::with_budget(8 * MIB);
    let draft = store.create(ANN, new("a", 2 * MIB)).unwrap();
    let ticket = store.ask_get(BOB, &["a"], Some(500));
    store.room.seal_begin(ANN, draft.object, 2 * MIB).unwrap();

    store.disconnect(ANN);
    assert_eq!(kind(store.got(ticket).unwrap().remove(0)), Kind::WriterGone);
    assert_eq!(store.stat().draft_bytes, 2 * MIB);
    let outcome = SealOutcome::Sealed { rows: 1, batches: 1 };
    assert_eq!(kind(store.room.seal_end(NOW_MS, draft.object, outcome)), Kind::WriterGone);
    store.run();

    assert_eq!(store.stat().free_bytes, 8 * MIB);
}

#[test]
fn a_small_draft_that_grows_becomes_large() {
    let mut store = Store::with_budget(8 * MIB);
    let draft = store.create(ANN, new("a", 100)).unwrap();

    let ticket = store.ask_grow(ANN, draft.object, 3 * MIB);
    let grown = store.created(ticket).unwrap().unwrap();

    let Placement::Large { source: Source::Fresh, bytes, .. } = grown.place else {
        panic!("{grown:?}");
    };
    assert_eq!(bytes, 3 * MIB);
    assert_eq!(store.stat().draft_bytes, 3 * MIB);
}

#[test]
fn a_large_draft_grows_in_its_own_container() {
    let mut store = Store::with_budget(8 * MIB);
    let draft = store.create(ANN, new("a", 2 * MIB)).unwrap();
    let Placement::Large { container: before, .. } = draft.place else { panic!("{draft:?}") };

    let ticket = store.ask_grow(ANN, draft.object, 5 * MIB);
    let grown = store.created(ticket).unwrap().unwrap();

    let after = Placement::Large { container: before, source: Source::Own, bytes: 5 * MIB };
    assert_eq!(grown.place, after);
}

#[test]
fn a_draft_cannot_be_sealed_while_it_waits_to_grow() {
    let mut store = Store::with_budget(8 * MIB);
    store.create(BOB, new("b", 5 * MIB)).unwrap();
    let draft = store.create(ANN, new("a", 2 * MIB)).unwrap();
    let ticket = super::super::Ticket(77);
    store.room.grow(NOW_MS, ANN, ticket, draft.object, 4 * MIB, Some(NOW_MS + 100));

    assert_eq!(kind(store.room.seal_begin(ANN, draft.object, 1)), Kind::Invalid);
    let twice = store.ask_grow(ANN, draft.object, 5 * MIB);
    assert_eq!(kind(store.created(twice).unwrap()), Kind::Invalid);
    store.disconnect(BOB);

    store.created(ticket).unwrap().unwrap();
}

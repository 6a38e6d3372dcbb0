//! The budget: who is charged what, and what a refusal says.

use super::harness::*;
use crate::error::Kind;

#[test]
fn a_large_draft_is_charged_its_pages_and_trimmed_at_seal() {
    let mut store = Store::with_budget(8 * MIB);

    let draft = store.create(ANN, new("a", 3 * MIB + 1)).unwrap();
    assert_eq!(store.stat().draft_bytes, 3 * MIB + 4 * KIB);
    store.seal(ANN, draft, 2 * MIB).unwrap();

    assert_eq!(store.stat().sealed_bytes, 2 * MIB);
    assert_eq!(store.stat().free_bytes, 6 * MIB);
}

#[test]
fn a_dead_client_frees_its_drafts() {
    let mut store = Store::with_budget(4 * MIB);
    store.create(ANN, new("a", 3 * MIB)).unwrap();
    store.create(ANN, new("b", 100)).unwrap();

    store.disconnect(ANN);

    assert_eq!(store.stat().free_bytes, 4 * MIB);
}

#[test]
fn a_deleted_object_is_charged_until_its_last_holder_and_the_kernel_let_go() {
    let mut store = Store::with_budget(4 * MIB);
    let object = store.store(ANN, new("a", MIB));
    store.get(BOB, "a").unwrap();

    store.delete("a");
    assert_eq!((store.stat().sealed_bytes, store.stat().retired_bytes), (0, MIB));
    store.gives_back = false;
    store.release(BOB, object);
    assert_eq!(store.stat().retired_bytes, MIB);
    store.gives_back = true;
    for container in 1..9 {
        store.room.reclaimed(super::super::ContainerId(container));
    }

    assert_eq!(store.stat().free_bytes, 4 * MIB);
}

#[test]
fn a_full_room_names_its_holders_in_one_sentence() {
    let mut store = Store::with_budget(8 * MIB);
    store.store(ANN, new("x", 3 * MIB));
    store.store(ANN, new("y", 4 * MIB));
    store.get(ANN, "x").unwrap();
    store.get(ANN, "y").unwrap();

    let error = store.create(BOB, new("trades", 3 * MIB)).unwrap_err();

    assert_eq!(error.kind(), Kind::Full);
    assert_eq!(
        error.message(),
        "object trades needs 3 MiB; 1 MiB is free and the rest is held \
         (pid 4711: 2 objects, 7 MiB): release one or raise --memory"
    );
}

#[test]
fn a_full_room_names_drafts_and_objects_that_nobody_holds() {
    let mut store = Store::with_budget(8 * MIB);
    store.store(ANN, new("x", 3 * MIB));
    store.create(BOB, new("y", 4 * MIB)).unwrap();

    let error = store.create(BOB, new("trades", 3 * MIB)).unwrap_err();

    assert_eq!(
        error.message(),
        "object trades needs 3 MiB; 1 MiB is free and the rest is being written \
         (pid 4712: 1 draft, 4 MiB) or kept (1 object, 3 MiB, held by nobody): \
         seal or abort one or delete one or raise --memory"
    );
}

#[test]
fn what_exceeds_the_whole_budget_fails_at_once_even_when_it_may_wait() {
    let mut store = Store::with_budget(MIB);

    let late = Some(NOW_MS + 60_000);
    let error = store
        .create(ANN, super::super::Create { deadline_ms: late, ..new("a", 2 * MIB) })
        .unwrap_err();

    assert_eq!(error.kind(), Kind::Full);
    assert!(error.message().contains("2 MiB") && error.message().contains("1 MiB"), "{error}");
    assert_eq!(kind(store.create(ANN, new("b", u64::MAX))), Kind::Full);
}

#[test]
fn a_draft_that_lacks_memory_ends_and_is_given_back() {
    let mut store = Store::with_budget(4 * MIB);
    let draft = store.create(ANN, new("a", MIB)).unwrap();
    let ticket = store.ask_get(BOB, &["a"], Some(500));

    store.room.memory_failed(draft.object, crate::error::Error::new(Kind::Full, "no memory"));

    let answer = store.got(ticket).unwrap().remove(0).unwrap_err();
    assert_eq!(answer.message(), "object a will not come: no memory");
    assert_eq!(store.stat().free_bytes, 4 * MIB);
}

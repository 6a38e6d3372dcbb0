//! Where limits meet: more replies than a socket takes, more memory than the machine has.

use std::time::Duration;

use sheaf_store::client::{Item, Payload};
use sheaf_store::{Kind, PutOptions, ServeOptions, Server};
use sheaf_tests::{Daemon, eventually};

#[test]
fn a_get_of_more_than_fits_the_socket_comes_through() {
    let daemon = Daemon::start("256MiB");
    let store = daemon.connect();
    let options = PutOptions::default();
    let names: Vec<String> = (0..15_000).map(|number| format!("n{number}")).collect();
    let bytes = [5; 4000];
    let payload = Payload::Bytes(&bytes);
    let items: Vec<Item<'_>> = names
        .iter()
        .map(|name| Item { name: name.as_bytes(), payload, options: &options })
        .collect();
    assert!(store.put_many(&items).unwrap().iter().all(Result::is_ok));

    let objects = store.get_many(&names, Duration::ZERO).unwrap();

    assert!(objects.iter().all(|object| object.as_ref().unwrap().as_bytes() == bytes));
}

#[test]
fn a_name_may_stand_twice_in_one_put() {
    let daemon = Daemon::start("16MiB");
    let store = daemon.connect();
    let replace = PutOptions { replace: true, ..PutOptions::default() };
    let item = |bytes| Item { name: b"t", payload: Payload::Bytes(bytes), options: &replace };

    let outcomes = store.put_many(&[item(b"first"), item(b"second")]).unwrap();

    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(store.get("t").unwrap().as_bytes(), b"second");
}

#[test]
fn more_droppable_objects_than_fit_are_all_put() {
    let daemon = Daemon::start("1MiB");
    let store = daemon.connect();
    let droppable = PutOptions { droppable: true, ..PutOptions::default() };
    let names: Vec<String> = (0..400).map(|number| format!("n{number}")).collect();
    let bytes = [5; 8000];
    let payload = Payload::Bytes(&bytes);
    let items: Vec<Item<'_>> = names
        .iter()
        .map(|name| Item { name: name.as_bytes(), payload, options: &droppable })
        .collect();

    let outcomes = store.put_many(&items).unwrap();

    let failed = outcomes.iter().filter(|outcome| outcome.is_err()).count();
    assert_eq!(failed, 0);
    assert_eq!(store.get("n399").unwrap().as_bytes(), bytes);
}

#[test]
fn memory_that_the_machine_lacks_is_refused_and_nothing_is_owed() {
    let folder = tempfile::tempdir().unwrap();
    let options = ServeOptions::new(folder.path().join("store.sock"), 1 << 45);
    let server = Server::spawn(options).unwrap();
    let store = sheaf_store::connect(&server.url()).unwrap();

    let refused = store.create("huge", 1 << 44, &PutOptions::default());

    assert_eq!(refused.err().unwrap().kind(), Kind::Full);
    eventually("all is given back", || {
        let stat = store.stat().unwrap();
        stat.get("draft_bytes") + stat.get("retired_bytes") + stat.get("drafts") == 0
    });
    store.put_bytes("huge", &[1; 3 << 20], &PutOptions::default()).unwrap();
}

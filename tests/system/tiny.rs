//! Tiny objects: found in shared memory, without a message, and never wrongly.

use rustix::process::Signal;
use sheaf_store::{Client, Kind, PutOptions};
use sheaf_tests::{Daemon, signal};

fn put(store: &Client, name: &str, bytes: &[u8]) {
    let options = PutOptions { replace: true, ..PutOptions::default() };
    store.put_bytes(name, bytes, &options).unwrap();
}

/// Runs `act` while the daemon is stopped: whatever needs an answer from it would hang.
fn without_the_daemon<T>(daemon: &Daemon, act: impl FnOnce() -> T) -> T {
    signal(daemon.pid(), Signal::STOP);
    let outcome = act();
    signal(daemon.pid(), Signal::CONT);
    outcome
}

#[test]
fn a_tiny_object_is_got_without_the_daemon() {
    let daemon = Daemon::start("64MiB");
    let (writer, reader) = (daemon.connect(), daemon.connect());
    put(&writer, "first", b"maps the segment");
    assert_eq!(reader.get("first").unwrap().as_bytes(), b"maps the segment");
    for number in 0..1000u32 {
        put(&writer, &format!("n{number}"), &number.to_le_bytes());
    }

    let got = without_the_daemon(&daemon, || {
        (0..1000u32).map(|number| reader.get(format!("n{number}"))).collect::<Vec<_>>()
    });

    for (number, object) in (0..1000u32).zip(got) {
        let object = object.unwrap();
        assert_eq!(object.as_bytes(), number.to_le_bytes());
        assert_eq!(object.info().bytes, 4);
        assert_eq!(object.info().name.to_string(), format!("n{number}"));
    }
}

#[test]
fn a_replaced_or_deleted_tiny_object_is_never_found_again() {
    let daemon = Daemon::start("64MiB");
    let (writer, reader) = (daemon.connect(), daemon.connect());
    for round in 0..300u32 {
        put(&writer, "t", &round.to_le_bytes());
        assert_eq!(reader.get("t").unwrap().as_bytes(), round.to_le_bytes());
        if round % 3 == 0 {
            writer.delete("t").unwrap();
            assert_eq!(reader.get("t").unwrap_err().kind(), Kind::NotFound);
        }
        if round % 7 == 0 {
            put(&writer, "t", &[9; 50_000]);
            assert_eq!(reader.get("t").unwrap().as_bytes(), [9; 50_000]);
        }
    }
}

#[test]
fn more_tiny_objects_than_the_index_takes_are_all_found() {
    let daemon = Daemon::start("16MiB");
    let store = daemon.connect();
    let names: Vec<String> = (0..8000).map(|number| format!("name {number}")).collect();
    for name in &names {
        put(&store, name, name.as_bytes());
    }

    for name in &names {
        assert_eq!(store.get(name).unwrap().as_bytes(), name.as_bytes());
    }
}

#[test]
fn tiny_objects_survive_the_cleaning_of_their_segments() {
    let daemon = Daemon::start("16MiB");
    let store = daemon.connect();
    for number in 0..30_000 {
        put(&store, &format!("n{number}"), format!("value {number}").as_bytes());
        if number % 10 != 0 {
            store.delete(format!("n{number}")).unwrap();
        }
    }
    assert!(store.stat().unwrap().get("moved_bytes") > 0, "segments were cleaned");

    for number in (0..30_000).step_by(10) {
        let object = store.get(format!("n{number}")).unwrap();
        assert_eq!(object.as_bytes(), format!("value {number}").as_bytes());
    }
}

#[test]
fn a_dead_daemon_is_noticed_although_its_index_is_mapped() {
    let mut daemon = Daemon::start("16MiB");
    // Not the harness's client, which would wait for a new daemon for long.
    let store = sheaf_store::connect(&daemon.url()).unwrap();
    put(&store, "t", b"1");
    assert_eq!(store.get("t").unwrap().as_bytes(), b"1");

    daemon.kill();

    let noticed = || store.get("t").is_err_and(|error| error.kind() == Kind::Unavailable);
    sheaf_tests::eventually("it is noticed", noticed);
}

//! The daemon's own life: one on a socket, taken over when dead, drained when asked to end.

use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::process::Signal;
use sheaf_store::{Kind, PutOptions};
use sheaf_tests::{Daemon, eventually, signal};

#[test]
fn a_second_daemon_on_a_live_socket_refuses_to_start() {
    let daemon = Daemon::start("64MiB");
    let store = daemon.connect();

    let (status, said) = daemon.second();

    assert_eq!(status.code(), Some(1));
    assert!(said.contains(&daemon.pid().to_string()), "it names the first one: {said}");
    store.put_bytes("still here", b"1", &PutOptions::default()).unwrap();
}

#[test]
fn a_dead_daemons_socket_is_taken_over() {
    let mut daemon = Daemon::start("64MiB");
    daemon.kill();
    assert!(daemon.socket().exists(), "kill -9 leaves the socket behind");

    daemon.restart();

    daemon.connect().put_bytes("t", b"1", &PutOptions::default()).unwrap();
}

#[test]
fn a_daemon_that_is_asked_to_end_drains_and_ends_with_status_0() {
    let mut daemon = Daemon::start("64MiB");
    let store = daemon.connect();
    let draft = store.create("t", 2 << 20, &PutOptions::default()).unwrap();
    let waiting = {
        let store = daemon.connect();
        std::thread::spawn(move || store.get_timeout("never", Duration::from_secs(600)))
    };
    eventually("the get waits", || store.stat().is_ok_and(|stat| stat.get("waits") > 0));

    let sealing = std::thread::spawn(move || {
        // The waiter is told first, so the store is draining when the draft is sealed.
        let told = waiting.join().unwrap();
        (told.unwrap_err().kind(), draft.seal())
    });
    let status = daemon.terminate();

    let (told, sealed) = sealing.join().unwrap();
    assert_eq!(status.code(), Some(0));
    assert_eq!(told, Kind::Unavailable);
    sealed.expect("a draft that was begun may be finished");
    assert!(!daemon.socket().exists());
}

#[test]
fn a_draining_daemon_is_not_found_any_more_and_keeps_its_path() {
    let mut daemon = Daemon::start("64MiB");
    let store = daemon.connect();
    let draft = store.create("t", 2 << 20, &PutOptions::default()).unwrap();

    signal(daemon.pid(), Signal::TERM);

    eventually("nobody can connect", || UnixStream::connect(daemon.socket()).is_err());
    assert_eq!(sheaf_store::connect(&daemon.url()).unwrap_err().kind(), Kind::Unavailable);
    assert!(daemon.is_running(), "it waits for the draft");
    let (status, said) = daemon.second();
    assert_eq!(status.code(), Some(1));
    assert!(said.contains(&daemon.pid().to_string()), "{said}");
    draft.seal().unwrap();
    eventually("it ends", || !daemon.is_running());
    daemon.restart();
    daemon.connect().put_bytes("t", b"1", &PutOptions::default()).unwrap();
}

#[test]
fn tables_stay_valid_and_clients_reconnect_when_the_daemon_dies() {
    let mut daemon = Daemon::start("64MiB");
    // Not as patient as the harness: it is to fail while the daemon is gone.
    let store = sheaf_store::connect(&daemon.url()).unwrap();
    let bytes = vec![7u8; 5 << 20];
    store.put_bytes("t", &bytes, &PutOptions::default()).unwrap();
    let object = store.get("t").unwrap();

    daemon.kill();
    assert_eq!(object.as_bytes(), bytes);
    assert_eq!(store.get("t").unwrap_err().kind(), Kind::Unavailable);
    daemon.restart();

    assert_eq!(store.get("t").unwrap_err().kind(), Kind::NotFound, "a new store is empty");
    store.put_bytes("t", b"again", &PutOptions::default()).unwrap();
    assert_eq!(store.get("t").unwrap().as_bytes(), b"again");
    assert_eq!(object.as_bytes(), bytes);
}

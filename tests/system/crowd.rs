//! More connections than the store serves: who comes last is told so, who was first goes on.

use std::io::Read;
use std::os::unix::net::UnixStream;

use sheaf_store::{Client, Error, Kind, PutOptions};
use sheaf_tests::{Daemon, PATIENCE, eventually, pattern};

/// Connects until the store has enough: the clients, and what the last one was told.
fn fill(daemon: &Daemon) -> (Vec<Client>, Error) {
    let mut clients = Vec::new();
    loop {
        match sheaf_store::connect(&daemon.url()) {
            Ok(client) => clients.push(client),
            Err(error) => return (clients, error),
        }
        assert!(clients.len() < 1000, "there is no limit");
    }
}

#[test]
fn connections_above_the_limit_are_refused_and_those_below_go_on() {
    let daemon = Daemon::with_descriptors("64MiB", 80);
    let store = daemon.connect();
    eventually("it is alone", || store.stat().unwrap().get("clients") == 1);

    let (mut clients, error) = fill(&daemon);

    assert_eq!((clients.len(), error.kind()), (39, Kind::Full), "{error}");
    assert!(error.to_string().contains("has 40 connections, the most"), "{error}");
    store.put_bytes("large", &pattern(1, 3 << 20), &PutOptions::default()).unwrap();
    for client in &clients {
        assert!(client.get("large").unwrap().as_bytes() == pattern(1, 3 << 20));
    }
    clients.pop();
    eventually("a seat is free", || sheaf_store::connect(&daemon.url()).is_ok());
}

#[test]
fn who_is_refused_and_says_nothing_is_not_left_hanging() {
    let daemon = Daemon::with_descriptors("64MiB", 80);
    let (_clients, _) = fill(&daemon);

    let mut silent: Vec<_> = (0..20).map(|_| UnixStream::connect(daemon.socket())).collect();

    for socket in silent.iter_mut().map(|socket| socket.as_mut().unwrap()) {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut said = Vec::new();
        socket.read_to_end(&mut said).expect("the store hangs up");
        assert!(String::from_utf8_lossy(&said).contains("connections"));
    }
}

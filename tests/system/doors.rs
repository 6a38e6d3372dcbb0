//! Both doors keep the promises of `sheaf_store::conformance`.

use sheaf_flight::{FarClient, FarOptions};
use sheaf_store::{ServeOptions, Server, conformance};
use sheaf_tests::Daemon;

use crate::flight;

const MEMORY_BYTES: u64 = 256 << 20;

/// The in-process room: a server on a thread of this process.
#[test]
fn the_room_keeps_its_promises() {
    let folder = tempfile::tempdir().unwrap();
    let mut servers = Vec::new();
    conformance::all(|| {
        servers.clear();
        let socket = folder.path().join("store.sock");
        let server = Server::spawn(ServeOptions::new(socket, MEMORY_BYTES)).unwrap();
        let client = sheaf_store::connect(&server.url()).unwrap();
        servers.push(server);
        client
    });
}

/// The near door: a daemon as a process of its own.
#[test]
fn the_near_door_keeps_its_promises() {
    let mut daemons = Vec::new();
    conformance::all(|| {
        daemons.clear();
        let daemon = Daemon::start("256MiB");
        let client = daemon.connect();
        daemons.push(daemon);
        client
    });
}

/// The far door: a daemon, streamed to and from.
#[test]
fn the_far_door_keeps_its_promises() {
    let mut daemons = Vec::new();
    conformance::all(|| {
        daemons.clear();
        let daemon = flight::Store::start(&["--flight", "127.0.0.1:0"]);
        let client = FarClient::connect(&daemon.urls()[0], &FarOptions::default()).unwrap();
        daemons.push(daemon);
        client
    });
}

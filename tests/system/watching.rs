//! Watches tell what happens, in order, and cost nobody else anything.

use std::time::Duration;

use sheaf_store::client::{Item, Payload};
use sheaf_store::protocol::message::{Cancel, Failed, Reply, Watch as Ask};
use sheaf_store::{Client, Event, EventKind, Kind, PutOptions, Watch};
use sheaf_tests::{Daemon, PATIENCE, Room, eventually, replacing};

use crate::hostile::Hostile;

fn put(store: &Client, name: &str, bytes: usize) {
    store.put_bytes(name, &vec![1; bytes], &replacing()).unwrap();
}

fn watch(store: &Client, prefix: &str, replay: bool) -> Watch {
    store.watch(prefix, replay).unwrap()
}

fn next(watch: &mut Watch) -> (EventKind, String, u64) {
    let Event { kind, name, bytes, .. } = watch.next().unwrap().unwrap();
    (kind, name.to_string(), bytes)
}

#[test]
fn events_come_in_order_and_only_of_the_prefix() {
    use EventKind::{Created, Deleted, Sealed};
    let room = Room::without_pool(64 << 20);
    let store = room.connect();
    let mut watch = watch(&store, "a/", false);

    let draft = store.create("a/draft", 2 << 20, &PutOptions::default()).unwrap();
    put(&store, "b", 10);
    draft.seal().unwrap();
    store.create("a/aborted", 10, &PutOptions::default()).unwrap().abort().unwrap();
    store.delete("a/draft").unwrap();
    store.delete("b").unwrap();

    for (kind, name) in [
        (Created, "a/draft"),
        (Sealed, "a/draft"),
        (Created, "a/aborted"),
        (Deleted, "a/aborted"),
        (Deleted, "a/draft"),
    ] {
        let event = next(&mut watch);
        assert_eq!((event.0, event.1.as_str()), (kind, name));
    }
}

#[test]
fn every_sealed_object_of_a_put_is_told_once_with_its_size() {
    let room = Room::without_pool(64 << 20);
    let store = room.connect();
    let mut watch = watch(&store, "", false);
    let metadata = vec![7; 100];

    for bytes in [0, 100, 10_000, 3 << 20] {
        let options = PutOptions { metadata: metadata.clone(), ..PutOptions::default() };
        store.put_bytes(format!("o{bytes}"), &vec![1; bytes], &options).unwrap();

        let sealed = watch
            .by_ref()
            .map(Result::unwrap)
            .find(|event| event.kind == EventKind::Sealed)
            .unwrap();
        assert_eq!(sealed.name.to_string(), format!("o{bytes}"));
        assert_eq!((sealed.bytes, sealed.metadata_bytes), (bytes as u64, 100));
    }
}

#[test]
fn a_replay_tells_what_is_there_before_what_happens() {
    let room = Room::without_pool(64 << 20);
    let store = room.connect();
    for name in ["a/2", "b", "a/1"] {
        put(&store, name, 10);
    }
    let _draft = store.create("a/draft", 10, &PutOptions::default()).unwrap();

    let mut watch = watch(&store, "a/", true);
    store.delete("a/2").unwrap();

    assert_eq!(next(&mut watch), (EventKind::Sealed, "a/1".into(), 10));
    assert_eq!(next(&mut watch), (EventKind::Sealed, "a/2".into(), 10));
    assert_eq!(next(&mut watch), (EventKind::Deleted, "a/2".into(), 10));
}

/// Tiny objects with names so long that their replay takes more than 32 MiB.
fn put_many(store: &Client, count: usize) -> Vec<String> {
    let names: Vec<_> =
        (0..count).map(|number| format!("{number:06}{}", "x".repeat(249))).collect();
    let options = PutOptions::default();
    let items = names.iter().map(|name| Item {
        name: name.as_bytes(),
        payload: Payload::Bytes(b"1"),
        options: &options,
    });
    let items: Vec<_> = items.collect();
    assert!(store.put_many(&items).unwrap().iter().all(Result::is_ok));
    names
}

#[test]
fn a_replay_of_a_very_large_store_waits_for_its_reader() {
    let daemon = Daemon::start("256MiB");
    let store = daemon.connect();
    let names = put_many(&store, 140_000);
    let mut watch = watch(&store, "", true);

    // The reader has not read anything: the replay has passed the first and not come to the last.
    store.delete(&names[0]).unwrap();
    store.delete(names.last().unwrap()).unwrap();
    put(&store, "~end", 1);

    let ends = |event: &Event| event.name.to_string() == "~end";
    let told = watch.by_ref().map(Result::unwrap).take_while(|event| !ends(event));
    let (mut sealed, mut deleted) = (Vec::new(), Vec::new());
    for Event { kind, name, .. } in told {
        match kind {
            EventKind::Sealed => sealed.push(name.to_string()),
            _ => deleted.push(name.to_string()),
        }
    }
    assert!(sealed == names[..names.len() - 1], "each once, in order");
    assert_eq!(deleted, names[..1]);
    store.delete("~end").unwrap();
    assert_eq!(next(&mut watch), (EventKind::Deleted, "~end".into(), 1));
}

#[test]
fn what_is_dropped_for_room_is_told_as_deleted() {
    let room = Room::without_pool(16 << 20);
    let store = room.connect();
    let cache = PutOptions { droppable: true, ..PutOptions::default() };
    store.put_bytes("cache", &vec![1; 10 << 20], &cache).unwrap();
    let mut watch = watch(&store, "cache", false);

    put(&store, "other", 10 << 20);

    assert_eq!(next(&mut watch), (EventKind::Deleted, "cache".into(), 10 << 20));
}

#[test]
fn a_watch_that_is_dropped_ends() {
    let room = Room::without_pool(64 << 20);
    let store = room.connect();
    let watch = watch(&store, "", false);

    drop(watch);

    eventually("the store forgets it", || store.stat().unwrap().get("watches") == 0);
    assert_eq!(store.stat().unwrap().get("clients"), 1);
}

#[test]
fn a_watch_ends_with_an_error_when_the_store_does() {
    let mut daemon = Daemon::start("16MiB");
    let store = daemon.connect();
    let mut watch = watch(&store, "", false);
    put(&store, "o", 10);

    daemon.kill();

    let ends = watch.by_ref().find_map(Result::err).unwrap();
    assert_eq!(ends.kind(), Kind::Unavailable);
    assert!(watch.next().is_none(), "it ends once");
}

#[test]
fn a_cancelled_watch_or_get_is_answered_and_the_connection_goes_on() {
    let daemon = Daemon::start("16MiB");
    let store = daemon.connect();
    let mut raw = Hostile::new(&daemon); // Its hello had id 1.
    raw.say(&Ask { prefix: "".into(), replay: false }.into()).unwrap();
    let names = vec![sheaf_store::Name::new("never").unwrap()];
    let timeout_ms = PATIENCE.as_millis() as u64;
    let get = sheaf_store::protocol::message::Get { timeout_ms, hold: true, names };
    raw.say(&get.into()).unwrap();
    eventually("both wait", || {
        let stat = store.stat().unwrap();
        (stat.get("watches"), stat.get("waits")) == (1, 1)
    });

    for request in [2, 3] {
        raw.say(&Cancel { request }.into()).unwrap();

        assert!(matches!(raw.hear(), Some(Reply::Failed(_))), "request {request}");
    }
    put(&store, "o", 10);
    let reply = raw.ask(sheaf_store::protocol::message::Count {}.into());
    assert!(matches!(reply, Reply::Counted(_)), "no event comes any more");
    let stat = store.stat().unwrap();
    assert_eq!((stat.get("watches"), stat.get("waits")), (0, 0));
}

#[test]
fn a_watcher_that_does_not_read_loses_its_watches_and_harms_nobody() {
    let daemon = Daemon::start("64MiB");
    let store = daemon.connect();
    let mut slow = Hostile::new(&daemon);
    for _ in 0..64 {
        slow.say(&Ask { prefix: "".into(), replay: false }.into()).unwrap();
    }
    eventually("all watch", || store.stat().unwrap().get("watches") == 64);
    let mut reader = watch(&store, "", false);

    // 64 times 270 bytes for each event: beyond 32 MiB the store keeps no more for one client.
    let name = "x".repeat(240);
    let mut rounds = 0;
    while store.stat().unwrap().get("watches") > 1 {
        put(&store, &name, 1);
        rounds += 1;
        assert!(rounds < 100_000, "the store keeps events without end");
    }

    let sealed = reader.by_ref().map(Result::unwrap).filter(|e| e.kind == EventKind::Sealed);
    assert_eq!(sealed.take(rounds).count(), rounds, "who reads misses nothing");
    let mut ended = 0;
    while ended < 64 {
        match slow.hear().expect("what was queued is sent") {
            Reply::Happened(_) => {}
            Reply::Failed(Failed { kind, message }) => {
                assert_eq!(Kind::from_code(kind), Kind::Full, "{message}");
                ended += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    let wait = store.get_timeout(&name, Duration::ZERO).unwrap();
    assert_eq!(wait.as_bytes(), [1]);
}

#[test]
fn a_watch_tells_whatever_happens_once_it_is_there() {
    let room = Room::without_pool(64 << 20);
    let (store, other) = (room.connect(), room.connect());
    for round in 0..100 {
        let name = format!("o{round}");
        let mut watch = store.watch(&name, false).unwrap();

        other.put_bytes(&name, b"1", &PutOptions::default()).unwrap();
        other.delete(&name).unwrap();

        let told = watch.find_map(|event| {
            let event = event.unwrap();
            (event.kind == EventKind::Sealed).then_some(event.name)
        });
        assert_eq!(told.unwrap().to_string(), name);
    }
}

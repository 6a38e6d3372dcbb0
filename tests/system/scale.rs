//! Many of everything.

use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, Int64Array, RecordBatch};
use rustix::process::{Resource, getrlimit, setrlimit};
use sheaf_store::client::{Item, Payload};
use sheaf_store::{Client, Kind, PutOptions, State};
use sheaf_tests::{Daemon, Room, eventually, pattern};

fn batch(start: i64, rows: i64) -> RecordBatch {
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(start..start + rows));
    RecordBatch::try_from_iter([("n", values)]).unwrap()
}

#[test]
fn a_table_has_twenty_thousand_batches() {
    let room = Room::with_pool(256 << 20, None);
    let store = room.connect();
    let batches: Vec<_> = (0..20_000).map(|index| batch(index, index % 5)).collect();

    let info = store.put("t", &batches[0].schema(), &batches, &PutOptions::default()).unwrap();
    let table = store.get("t").unwrap().table().unwrap();

    assert_eq!((info.batches, info.rows), (20_000, 40_000));
    assert!(table.batches().map(Result::unwrap).eq(batches));
}

#[test]
fn ten_thousand_objects_are_put_in_one_call() {
    let room = Room::with_pool(256 << 20, None);
    let store = room.connect();
    let bytes = pattern(1, 20_000);
    let tables: Vec<_> = (0..10).map(|rows| [batch(0, rows)]).collect();
    let schema = tables[0][0].schema();
    let names: Vec<_> = (0..10_000).map(|index| format!("o{index}")).collect();
    let (plain, cache) =
        (PutOptions::default(), PutOptions { droppable: true, ..PutOptions::default() });
    let items: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(index, name)| Item {
            name: name.as_bytes(),
            payload: match index % 3 {
                0 => Payload::Table(&schema, &tables[index % 10]),
                _ => Payload::Bytes(&bytes[..index * 7 % 20_000]),
            },
            options: if index % 2 == 0 { &plain } else { &cache },
        })
        .collect();

    let put = store.put_many(&items).unwrap();
    let again = store.put_many(&items[..2000]).unwrap();

    assert_eq!(put.len(), 10_000);
    for (index, info) in put.into_iter().enumerate() {
        let info = info.unwrap();
        assert_eq!(info.name.to_string(), names[index]);
        assert_eq!(info.rows, if index % 3 == 0 { index as u64 % 10 } else { 0 });
    }
    assert!(again.into_iter().all(|outcome| outcome.unwrap_err().kind() == Kind::Exists));
    for index in (0..10_000).step_by(97) {
        let object = store.get(&names[index]).unwrap();
        match index % 3 {
            0 => assert_eq!(object.table().unwrap().num_rows(), index as u64 % 10),
            _ => assert!(object.as_bytes() == &bytes[..index * 7 % 20_000]),
        }
    }
}

#[test]
fn a_thousand_names_are_got_in_one_call_some_twice_and_some_missing() {
    let room = Room::without_pool(512 << 20);
    let store = room.connect();
    for index in 0..400 {
        // Of each ten one is large, so that more descriptors come than fit one frame.
        let length = [1_200_000, 10, 6000, 80_000][if index % 2 == 0 { 0 } else { index % 4 }];
        let bytes = pattern(index as u8, length);
        store.put_bytes(format!("o{index}"), &bytes, &PutOptions::default()).unwrap();
    }
    let names: Vec<_> = (0..1000).map(|index| format!("o{}", index * 7 % 500)).collect();

    let reader = room.connect();
    let objects = reader.get_many(&names, Duration::ZERO).unwrap();

    assert_eq!(objects.len(), 1000);
    for (index, outcome) in objects.iter().enumerate() {
        let number = index * 7 % 500;
        match outcome {
            Ok(object) => {
                assert_eq!(object.info().name.to_string(), names[index]);
                assert!(object.as_bytes() == pattern(number as u8, object.as_bytes().len()));
            }
            Err(error) => assert_eq!((error.kind(), number >= 400), (Kind::NotFound, true)),
        }
    }
    let addresses = |index: usize| objects[index].as_ref().unwrap().mapped_range();
    assert_eq!(addresses(0), addresses(500), "a name that stands twice is mapped once");
    let held = |holds| {
        reader.stat().unwrap(); // Takes the last releases along.
        let holders = store.info("o0", true).unwrap().holders;
        holders.first().map_or(0, |holder| holder.holds) == holds
    };
    eventually("the two share one hold", || held(1));
    drop(objects);
    eventually("all holds are given back", || {
        reader.stat().unwrap(); // Takes the last releases along.
        store.list("", true).unwrap().iter().all(|info| info.holders.is_empty())
    });
}

#[test]
fn five_thousand_names_are_listed_in_order_each_once() {
    let room = Room::without_pool(64 << 20);
    let store = room.connect();
    // Long names, so that the bytes of a reply are a limit too.
    let mut names: Vec<_> = (0..5000)
        .map(|index| {
            let length = if index % 3 == 0 { 200 } else { 1 };
            format!("{:04}{}", index * 37 % 5000, "x".repeat(length))
        })
        .collect();
    let options = PutOptions::default();
    let items: Vec<_> = names
        .iter()
        .map(|name| Item {
            name: name.as_bytes(),
            payload: Payload::Bytes(b"1"),
            options: &options,
        })
        .collect();
    assert!(store.put_many(&items).unwrap().iter().all(Result::is_ok));
    names.sort();

    for holders in [false, true] {
        let listed: Vec<_> =
            store.list("", holders).unwrap().iter().map(|info| info.name.to_string()).collect();
        assert_eq!(listed, names);
    }
    assert_eq!(store.list("01", false).unwrap().len(), 100);
}

#[test]
fn a_list_has_every_retired_object_however_many_there_are_and_holders_of_each() {
    let room = Room::without_pool(256 << 20);
    let store = room.connect();
    let names = |start: &str, count: usize| -> Vec<String> {
        (0..count).map(|index| format!("{start}{index:04}{}", "x".repeat(245))).collect()
    };
    let (retired, bound) = (names("a", 2500), names("b", 900));
    let put = |name: &String| {
        store.put_bytes(name, &[1; 5000], &PutOptions::default()).unwrap();
    };
    retired.iter().for_each(put);
    let readers: Vec<_> = (0..8).map(|_| room.connect()).collect();
    let hold = |reader: &Client| reader.get_many(&retired, Duration::ZERO).unwrap();
    let held: Vec<_> = readers.iter().map(hold).collect();
    retired.iter().for_each(|name| store.delete(name).unwrap());
    bound.iter().for_each(put);

    let listed = store.list("", true).unwrap();

    let of_state = |state| -> Vec<_> {
        let infos = listed.iter().filter(|info| info.state == state);
        infos.map(|info| info.name.to_string()).collect()
    };
    assert_eq!(of_state(State::Sealed), bound, "each once, in order");
    assert_eq!(of_state(State::Retired), retired, "each once, in order");
    drop(held);
}

#[test]
fn a_thousand_idle_clients_are_in_nobodys_way() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    let daemon = Daemon::start("64MiB");
    let store = daemon.connect();

    let idle: Vec<_> = (0..1000).map(|_| daemon.connect()).collect();
    store.put_bytes("o", &pattern(1, 3 << 20), &PutOptions::default()).unwrap();

    assert_eq!(store.stat().unwrap().get("clients"), 1001);
    for client in idle.iter().step_by(50) {
        assert!(client.get("o").unwrap().as_bytes() == pattern(1, 3 << 20));
    }
    drop(idle);
    eventually("they have left", || store.stat().unwrap().get("clients") == 1);
    assert_eq!(store.info("o", true).unwrap().holders, []);
}

//! Who makes room for whom: caches give way, what is kept stays, and a put may wait.

use std::time::Duration;

use sheaf_store::error::human_bytes;
use sheaf_store::{Client, Kind, PutOptions};
use sheaf_tests::{PATIENCE, Room, eventually, pattern};

const MIB: u64 = 1 << 20;

fn cache() -> PutOptions {
    PutOptions { droppable: true, ..PutOptions::default() }
}

fn waiting(wait: Duration) -> PutOptions {
    PutOptions { wait, ..PutOptions::default() }
}

fn put(store: &Client, name: &str, mib: u64, options: &PutOptions) -> sheaf_store::Result<()> {
    store.put_bytes(name, &vec![1; (mib * MIB) as usize], options).map(|_| ())
}

/// The budget, without what the store itself takes of it.
fn budget(store: &Client) -> u64 {
    store.stat().unwrap().get("budget_bytes")
}

fn names(store: &Client) -> Vec<String> {
    store.list("", false).unwrap().iter().map(|info| info.name.to_string()).collect()
}

#[test]
fn droppable_objects_go_least_recently_used_first() {
    let room = Room::without_pool(64 * MIB);
    let store = room.connect();
    for name in ["a", "b", "c", "d", "e", "f"] {
        put(&store, name, 10, &cache()).unwrap();
    }
    drop(store.get("a").unwrap());
    store.stat().unwrap();

    put(&store, "one", 10, &PutOptions::default()).unwrap();
    assert_eq!(names(&store), ["a", "c", "d", "e", "f", "one"]);

    put(&store, "two", 20, &PutOptions::default()).unwrap();
    assert_eq!(names(&store), ["a", "e", "f", "one", "two"]);
    assert_eq!(store.stat().unwrap().get("evictions"), 3);
}

#[test]
fn what_is_held_is_not_dropped_until_it_is_let_go() {
    let room = Room::without_pool(64 * MIB);
    let (store, reader) = (room.connect(), room.connect());
    put(&store, "held", 30, &cache()).unwrap();
    put(&store, "idle", 30, &cache()).unwrap();
    let held = reader.get("held").unwrap();

    put(&store, "one", 30, &PutOptions::default()).unwrap();
    let refused = put(&store, "two", 30, &PutOptions::default());

    assert_eq!(names(&store), ["held", "one"]);
    assert_eq!(refused.unwrap_err().kind(), Kind::Full);
    drop(held);
    put(&store, "two", 30, &waiting(PATIENCE)).unwrap();
    assert_eq!(names(&store), ["one", "two"]);
}

#[test]
fn what_was_not_put_as_a_cache_is_never_dropped() {
    let room = Room::without_pool(64 * MIB);
    let store = room.connect();
    put(&store, "large", 40, &PutOptions::default()).unwrap();
    for index in 0..100 {
        let name = format!("small {index}");
        store.put_bytes(name, &pattern(index, 100_000), &PutOptions::default()).unwrap();
    }
    let before = names(&store);

    let refused = put(&store, "more", 40, &PutOptions::default());
    let freed = store.evict(u64::MAX).unwrap();

    assert_eq!(refused.unwrap_err().kind(), Kind::Full);
    assert_eq!(freed, 0);
    assert_eq!(names(&store), before);
}

#[test]
fn small_caches_give_way_too() {
    let room = Room::without_pool(16 * MIB);
    let store = room.connect();

    for index in 0..5000 {
        let name = format!("{index:04}");
        store.put_bytes(name, &pattern(index as u8, 10_000), &cache()).unwrap();
    }

    let left = names(&store);
    assert!(left.len() > 1000, "about 1,600 fit: {}", left.len());
    assert_eq!(left.last().unwrap(), "4999");
    assert_eq!(left[0], format!("{:04}", 5000 - left.len()), "the newest are left");
    assert!(store.get("4321").unwrap().as_bytes() == pattern(4321_u16 as u8, 10_000));
}

#[test]
fn a_full_store_names_both_numbers_and_who_holds_the_rest() {
    let room = Room::without_pool(64 * MIB);
    let store = room.connect();
    put(&store, "a", 40, &PutOptions::default()).unwrap();
    let _held = store.get("a").unwrap();
    let _draft = store.create("b", 16 * MIB, &PutOptions::default()).unwrap();

    let error = put(&store, "trades", 24, &PutOptions::default()).unwrap_err();

    let pid = std::process::id();
    assert_eq!(error.kind(), Kind::Full);
    for part in [
        &format!("object trades needs 24 MiB; {} is free", human_bytes(budget(&store) - 56 * MIB)),
        &format!("held (pid {pid}: 1 object, 40 MiB)"),
        &format!("being written (pid {pid}: 1 draft, 16 MiB)"),
        "raise --memory",
    ] {
        assert!(error.message().contains(part), "{part}: {error}");
    }
}

#[test]
fn a_full_store_counts_what_its_pool_would_give_up_as_free() {
    let room = Room::with_pool(64 * MIB, Some(16 * MIB));
    let store = room.connect();
    put(&store, "a", 8, &PutOptions::default()).unwrap();
    put(&store, "b", 32, &PutOptions::default()).unwrap();
    eventually("the pool is filled", || store.stat().unwrap().get("pool_bytes") > 0);

    let error = put(&store, "c", 30, &PutOptions::default()).unwrap_err();

    let free = human_bytes(budget(&store) - 40 * MIB);
    assert!(error.message().contains(&format!("needs 30 MiB; {free} is free")), "{error}");
}

#[test]
fn a_put_waits_for_room_and_gets_it() {
    let room = Room::without_pool(64 * MIB);
    let store = room.connect();
    put(&store, "a", 40, &PutOptions::default()).unwrap();
    let held = store.get("a").unwrap();
    std::thread::scope(|scope| {
        let put = scope.spawn(|| put(&store, "b", 40, &waiting(PATIENCE)));
        eventually("the put waits", || store.stat().unwrap().get("queued") == 1);

        store.delete("a").unwrap();
        assert_eq!(store.stat().unwrap().get("queued"), 1, "it is held still");
        drop(held);

        put.join().unwrap().unwrap();
    });
    assert_eq!(names(&store), ["b"]);
}

#[test]
fn small_puts_wait_for_room_too() {
    let room = Room::without_pool(16 * MIB);
    let store = room.connect();
    let mut kept = 0;
    while store.put_bytes(format!("{kept}"), &[1; 100_000], &PutOptions::default()).is_ok() {
        kept += 1;
    }
    std::thread::scope(|scope| {
        let put = scope.spawn(|| store.put_bytes("late", &[2; 100_000], &waiting(PATIENCE)));
        eventually("the put waits", || store.stat().unwrap().get("queued") == 1);

        for index in 0..kept {
            store.delete(format!("{index}")).unwrap();
        }

        put.join().unwrap().unwrap();
    });
    assert_eq!(names(&store), ["late"]);
}

#[test]
fn a_put_that_waits_in_vain_fails_as_full_at_its_limit() {
    let room = Room::without_pool(64 * MIB);
    let store = room.connect();
    put(&store, "a", 40, &PutOptions::default()).unwrap();

    let refused = put(&store, "b", 40, &waiting(Duration::from_millis(30)));

    assert_eq!(refused.unwrap_err().kind(), Kind::Full);
    assert_eq!(store.stat().unwrap().get("queued"), 0);
    put(&store, "c", 20, &PutOptions::default()).unwrap();
}

#[test]
fn nobody_starves_behind_those_that_need_less() {
    let room = Room::without_pool(64 * MIB);
    let store = room.connect();
    put(&store, "a", 40, &PutOptions::default()).unwrap();
    std::thread::scope(|scope| {
        let large = scope.spawn(|| put(&store, "large", 62, &waiting(PATIENCE)));
        eventually("the put waits", || store.stat().unwrap().get("queued") == 1);

        // One of the small ones is there at every moment: if all passed, the large one never fits.
        let mut last = "a".to_owned();
        let mut passed = 0;
        for index in 0.. {
            let name = format!("small {index}");
            let outcome = put(&store, &name, 4, &PutOptions::default());
            store.delete(&last).unwrap();
            last = name;
            match outcome {
                Ok(()) => passed += 1,
                Err(error) => {
                    assert_eq!(error.kind(), Kind::Full);
                    break;
                }
            }
            assert!(passed <= 62 / 4, "it may be passed by as much as it needs");
        }

        large.join().unwrap().unwrap();
    });
    assert_eq!(names(&store), ["large"]);
}

#[test]
fn the_pool_gives_way_to_a_put() {
    let room = Room::with_pool(64 * MIB, Some(32 * MIB));
    let store = room.connect();
    for _ in 0..3 {
        put(&store, "a", 8, &PutOptions::default()).unwrap();
        store.delete("a").unwrap();
    }
    eventually("the pool is filled", || store.stat().unwrap().get("pool_bytes") >= 16 * MIB);

    let all = vec![1; budget(&store) as usize];
    store.put_bytes("all of it", &all, &PutOptions::default()).unwrap();

    let stat = store.stat().unwrap();
    assert_eq!(stat.get("sealed_bytes"), stat.get("budget_bytes"));
    assert_eq!(stat.get("free_bytes"), 0);
}

#[test]
fn what_can_never_fit_is_refused_at_once_even_if_it_would_wait() {
    let room = Room::without_pool(16 * MIB);
    let store = room.connect();

    let refused = put(&store, "a", 17, &waiting(Duration::MAX)).unwrap_err();

    assert_eq!(refused.kind(), Kind::Full);
    let whole = format!("17 MiB, more than the whole budget of {}", human_bytes(budget(&store)));
    assert!(refused.message().contains(&whole), "{refused}");
}

#[test]
fn evict_frees_what_was_asked_for_and_says_how_much() {
    let room = Room::without_pool(64 * MIB);
    let store = room.connect();
    put(&store, "kept", 2, &PutOptions::default()).unwrap();
    for name in ["a", "b", "c", "d"] {
        put(&store, name, 2, &cache()).unwrap();
    }

    assert_eq!(store.evict(3 * MIB).unwrap(), 4 * MIB);
    assert_eq!(names(&store), ["c", "d", "kept"]);

    assert_eq!(store.evict(u64::MAX).unwrap(), 4 * MIB);
    assert_eq!(names(&store), ["kept"]);
}

//! The books balance: nothing leaks, and memory that nobody sees goes back to the machine.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sheaf_store::{Client, PutOptions};
use sheaf_tests::{
    Daemon, Dice, act, as_actor, assert_amounts_to_budget, descriptors, eventually, own_maps,
    pattern, replacing,
};

const MIB: u64 = 1 << 20;

/// The memory behind a process's descriptors, in bytes, as the kernel counts it.
fn memory_bytes(pid: u32) -> u64 {
    let mut files = HashMap::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap() {
        let path = entry.unwrap().path();
        let is_memory =
            std::fs::read_link(&path).is_ok_and(|link| link.to_string_lossy().contains("/memfd:"));
        if let Ok(file) = std::fs::metadata(path)
            && is_memory
        {
            files.insert(file.ino(), file.blocks() * 512);
        }
    }
    files.values().sum()
}

/// How many containers of objects this process has mapped.
fn mapped() -> usize {
    let maps = own_maps();
    let of_store = maps.iter().filter(|line| line.contains("/memfd:sheaf"));
    of_store.filter(|line| !line.contains("index")).count()
}

/// Nothing is held, written or on its way out.
fn is_settled(store: &Client) -> bool {
    let stat = store.stat().unwrap();
    assert_amounts_to_budget(&stat);
    stat.get("draft_bytes") + stat.get("retired_bytes") + stat.get("retiring") == 0
}

#[test]
#[ignore = "an actor of the test below"]
fn actor_puts_holds_and_lets_go() {
    let Some((store, _)) = as_actor() else { return };
    let daemon = store.stat().unwrap().store_pid;
    for round in 0..3 {
        for index in 0..4 {
            let bytes = pattern(index, 20 << 20);
            store.put_bytes(format!("large {index}"), &bytes, &PutOptions::default()).unwrap();
            for small in 0..50 {
                let name = format!("small {index} {small}");
                store.put_bytes(name, &bytes[..100_000], &PutOptions::default()).unwrap();
            }
        }
        let names: Vec<_> = store.list("", false).unwrap().into_iter().map(|i| i.name).collect();
        let held = store.get_many(&names, Duration::ZERO).unwrap();
        assert!(held.iter().all(Result::is_ok));
        for name in &names {
            store.delete(name).unwrap();
        }
        let stat = store.stat().unwrap();
        assert_amounts_to_budget(&stat);
        assert!(stat.get("retired_bytes") >= 100 * MIB, "who holds it keeps it");
        assert!(memory_bytes(daemon) >= 100 * MIB);

        drop(held);

        eventually("the books are settled", || is_settled(&store));
        let stat = store.stat().unwrap();
        let kept = stat.get("pool_bytes") + stat.get("slack_bytes");
        assert_eq!(stat.get("sealed_bytes"), 0);
        assert!(mapped() <= 1, "all but the current segment is unmapped");
        // A page more for each segment, and what the pool is preparing at this moment.
        eventually("the memory goes back", || memory_bytes(daemon) <= kept + MIB);
        println!("round {round}: {kept} bytes kept");
    }
}

#[test]
fn memory_goes_back_to_the_machine_when_the_last_holder_lets_go() {
    let daemon = Daemon::start("256MiB");

    act("accounts::actor_puts_holds_and_lets_go", &daemon, "");

    let store = daemon.connect();
    eventually("nothing is left", || {
        let stat = store.stat().unwrap();
        stat.get("clients") == 1 && stat.get("objects") == 0
    });
}

#[test]
#[ignore = "an actor of the test below"]
fn actor_counts_what_two_thousand_objects_leave_behind() {
    let Some((store, _)) = as_actor() else { return };
    let daemon = store.stat().unwrap().store_pid;
    let cycles = |count: usize| {
        let (small, large) = (pattern(1, 9000), pattern(2, 2 << 20));
        for index in 0..count {
            let bytes = if index % 2 == 0 { &small } else { &large };
            let name = format!("o{}", index % 3);
            store.put_bytes(&name, bytes, &PutOptions::default()).unwrap();
            let object = store.get(&name).unwrap();
            assert_eq!(object.as_bytes().len(), bytes.len());
            store.delete(&name).unwrap();
        }
        store.list("", false).unwrap(); // Takes the last releases along.
    };
    let own = std::process::id();
    cycles(100);
    eventually("the books are settled", || is_settled(&store));
    let before = (descriptors(own), descriptors(daemon), own_maps().len());

    cycles(2000);
    eventually("the books are settled", || is_settled(&store));

    // The daemon's pool may have a few containers more or fewer than before; segments too.
    let after = (descriptors(own), descriptors(daemon), own_maps().len());
    assert!(after.0 <= before.0, "descriptors of the client: {before:?} became {after:?}");
    assert!(after.1 <= before.1 + 8, "descriptors of the daemon: {before:?} became {after:?}");
    assert!(after.2 <= before.2 + 8, "mappings of the client: {before:?} became {after:?}");
    assert!(mapped() <= 1, "{:#?}", own_maps());
}

#[test]
fn neither_descriptors_nor_mappings_leak() {
    let daemon = Daemon::start("128MiB");

    act("accounts::actor_counts_what_two_thousand_objects_leave_behind", &daemon, "");
}

/// Does anything that a client may do, in any order.
fn make_trouble(store: &Client, seed: u64, steps: usize) {
    let mut dice = Dice::new(seed);
    let (mut held, mut drafts, mut tables) = (Vec::new(), Vec::new(), Vec::new());
    let bytes = pattern(seed as u8, 12 << 20);
    for _ in 0..steps {
        let name = format!("n{}", dice.roll(40));
        let size = [0, 100, 5000, 300_000, 1 << 20, 3 << 20, 12 << 20][dice.roll(7)];
        let options = PutOptions { droppable: dice.roll(2) == 0, ..replacing() };
        match dice.roll(10) {
            0..=2 => drop(store.put_bytes(&name, &bytes[..size], &options)),
            3 => drafts.extend(store.create(&name, size as u64, &options)),
            4 => drop(drafts.pop().map(|draft| draft.seal().ok())),
            5 => drop(drafts.pop().map(|draft| draft.abort().ok())),
            6 => held.extend(store.get(&name)),
            7 => drop(store.delete(&name)),
            8 => tables.extend(store.writer(&name, &schema(), &options)),
            _ => {
                held.truncate(dice.roll(4));
                tables.truncate(dice.roll(2));
            }
        }
    }
}

fn schema() -> arrow_schema::SchemaRef {
    std::sync::Arc::new(arrow_schema::Schema::empty())
}

#[test]
fn the_parts_amount_to_the_budget_at_every_moment_and_only_sealed_remain_at_the_end() {
    const THREADS: u64 = 4;
    let daemon = Daemon::start("64MiB");
    let store = daemon.connect();
    let left = AtomicUsize::new(THREADS as usize);

    let mut polls = 0;
    std::thread::scope(|scope| {
        for seed in 0..THREADS {
            let (store, left) = (daemon.connect(), &left);
            scope.spawn(move || {
                make_trouble(&store, seed, 600);
                left.fetch_sub(1, Ordering::Relaxed);
            });
        }
        while left.load(Ordering::Relaxed) > 0 {
            assert_amounts_to_budget(&store.stat().unwrap());
            polls += 1;
        }
    });

    assert!(polls > 10);
    eventually("all but one have left", || store.stat().unwrap().get("clients") == 1);
    eventually("the books are settled", || is_settled(&store));
    let stat = store.stat().unwrap();
    let sealed = store.list("", true).unwrap();
    let charged: u64 = sealed.iter().map(|info| info.charged_bytes).sum();
    assert_eq!(stat.get("objects"), sealed.len() as u64);
    assert_eq!(stat.get("sealed_bytes"), charged);
    assert!(sealed.iter().all(|info| info.holders.is_empty()));
}

//! Clients that die without a goodbye: what they had comes back, and nobody else notices.

use std::io::{BufRead, BufReader};
use std::time::Duration;

use sheaf_store::{Client, Kind, PutOptions, State};
use sheaf_tests::{Daemon, Dice, PATIENCE, actor, as_actor, eventually, replacing};

const MIB: u64 = 1 << 20;

/// Says that it is ready, and lives until it is killed.
fn linger() -> ! {
    println!("\nready");
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn await_ready(child: &mut std::process::Child) {
    let output = BufReader::new(child.stdout.take().unwrap());
    let ready = output.lines().map_while(Result::ok).any(|line| line == "ready");
    assert!(ready, "the actor ended before it was ready");
}

/// What the store still owes to anybody: drafts, and retired memory that is held.
fn owed(store: &Client) -> u64 {
    let stat = store.stat().unwrap();
    stat.get("draft_bytes") + stat.get("retired_bytes")
}

#[test]
#[ignore = "an actor of the tests below"]
fn actor_writes_a_draft() {
    let Some((store, task)) = as_actor() else { return };
    let bytes = task.parse().unwrap();
    let mut draft = store.create("draft", bytes, &PutOptions::default()).unwrap();
    draft.as_mut_slice().fill(1);
    linger();
}

#[test]
fn a_dead_writer_frees_its_draft_and_wakes_who_waits_for_it() {
    let daemon = Daemon::start("64MiB");
    let store = daemon.connect();
    for bytes in [1000, 20 * MIB] {
        let mut writer = actor("death::actor_writes_a_draft", &daemon, &bytes.to_string());
        await_ready(&mut writer);
        let waiting = {
            let store = store.clone();
            std::thread::spawn(move || store.get_timeout("draft", PATIENCE))
        };
        eventually("the get waits", || store.stat().unwrap().get("waits") > 0);

        writer.kill().unwrap();
        writer.wait().unwrap();

        assert_eq!(waiting.join().unwrap().unwrap_err().kind(), Kind::WriterGone);
        eventually("its memory comes back", || owed(&store) == 0);
    }
}

#[test]
#[ignore = "an actor of the tests below"]
fn actor_holds_objects() {
    let Some((store, _)) = as_actor() else { return };
    let _held = store.get_many(&["small", "large"], Duration::ZERO).unwrap();
    linger();
}

#[test]
fn a_dead_reader_frees_what_it_held() {
    let daemon = Daemon::start("64MiB");
    let store = daemon.connect();
    store.put_bytes("small", &[1; 10_000], &PutOptions::default()).unwrap();
    store.put_bytes("large", &[2; 10 << 20], &PutOptions::default()).unwrap();
    let mut reader = actor("death::actor_holds_objects", &daemon, "");
    await_ready(&mut reader);
    let holders = store.info("large", true).unwrap().holders;
    assert_eq!(holders.len(), 1);
    assert_eq!(holders[0].peer.pid, reader.id());

    store.delete("large").unwrap();
    store.delete("small").unwrap();
    assert!(owed(&store) >= 10 * MIB, "who holds it keeps it, and it counts");
    let retired = store.list("", true).unwrap();
    assert!(retired.iter().any(|info| info.state == State::Retired));
    reader.kill().unwrap();
    reader.wait().unwrap();

    eventually("its memory comes back", || owed(&store) == 0);
    assert!(store.list("", true).unwrap().is_empty());
}

#[test]
#[ignore = "an actor of the tests below"]
fn actor_does_everything() {
    let Some((store, task)) = as_actor() else { return };
    let mut dice = Dice::new(task.parse().unwrap());
    println!("\nready");
    let mut held = Vec::new();
    let options = replacing();
    loop {
        let name = format!("n{}", dice.roll(7));
        let size = [10, 3000, 60_000, 3 << 20][dice.roll(4)];
        let byte = dice.roll(256) as u8;
        match dice.roll(6) {
            0 | 1 => drop(store.put_bytes(&name, &vec![byte; size], &options)),
            2 => {
                drop(store.create(format!("own {name}"), size as u64, &options).map(|mut draft| {
                    draft.as_mut_slice().fill(byte);
                    draft.seal()
                }))
            }
            3 => held.extend(store.get(&name)),
            4 => drop(store.delete(&name)),
            _ => held.clear(),
        }
    }
}

#[test]
fn a_client_may_die_at_any_instant() {
    let daemon = Daemon::start("96MiB");
    let store = daemon.connect();
    for seed in 0..25u64 {
        let mut actor = actor("death::actor_does_everything", &daemon, &seed.to_string());
        await_ready(&mut actor);
        std::thread::sleep(Duration::from_micros(seed * 1733 % 40_000));
        actor.kill().unwrap();
        actor.wait().unwrap();

        let what = format!("all comes back after seed {seed}");
        eventually(&what, || {
            let stat = store.stat().unwrap();
            stat.get("drafts") == 0 && owed(&store) == 0 && stat.get("clients") == 1
        });
        for info in store.list("", true).unwrap() {
            assert!(info.holders.is_empty(), "{} is held by nobody that lives", info.name);
            let object = store.get(info.name.as_bytes()).unwrap();
            let first = object.as_bytes().first().copied().unwrap_or_default();
            assert!(object.as_bytes().iter().all(|byte| *byte == first), "whole or not at all");
        }
    }
}

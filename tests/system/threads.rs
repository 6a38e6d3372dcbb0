//! One client in many threads, and in a process that forks.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use sheaf_store::{Client, ConnectOptions, Kind, PutOptions};
use sheaf_tests::{
    Daemon, Dice, PATIENCE, Room, act, actor, as_actor, eventually, own_maps, pattern, replacing,
    signal,
};

const LENGTHS: [usize; 4] = [10, 3000, 60_000, 3 << 20];

/// Puts and gets names of its own, of all sizes.
fn work(store: &Client, seed: u64, steps: usize) {
    let mut dice = Dice::new(seed);
    for step in 0..steps {
        let name = format!("{seed}/{}", step % 3);
        let bytes = pattern(dice.roll(256) as u8, LENGTHS[dice.roll(4)]);
        store.put_bytes(&name, &bytes, &replacing()).unwrap();
        assert!(store.get(&name).unwrap().as_bytes() == bytes);
        assert_eq!(store.list(format!("{seed}/"), false).unwrap().len(), step.min(2) + 1);
    }
}

#[test]
fn a_get_that_waits_holds_up_no_other_thread_of_its_client() {
    const WAITERS: usize = 4;
    const WORKERS: usize = 4;
    let room = Room::with_pool(128 << 20, None);
    let store = room.connect();
    let working = AtomicUsize::new(WORKERS);

    std::thread::scope(|scope| {
        for index in 0..WAITERS {
            let (store, working) = (&store, &working);
            scope.spawn(move || {
                let object = store.get_timeout(format!("later {index}"), PATIENCE).unwrap();
                assert_eq!(working.load(Ordering::Relaxed), 0, "it came after all else");
                assert_eq!(object.as_bytes(), [index as u8]);
            });
        }
        eventually("they wait", || store.stat().unwrap().get("waits") == WAITERS as u64);
        for seed in 0..WORKERS {
            let (store, working) = (&store, &working);
            scope.spawn(move || {
                work(store, seed as u64, 60);
                working.fetch_sub(1, Ordering::Relaxed);
            });
        }
        eventually("the others are through", || working.load(Ordering::Relaxed) == 0);
        for index in 0..WAITERS {
            let name = format!("later {index}");
            store.put_bytes(name, &[index as u8], &PutOptions::default()).unwrap();
        }
    });

    assert_eq!(store.stat().unwrap().get("clients"), 1, "all shared one connection");
}

#[test]
fn threads_that_get_and_drop_the_same_objects_see_the_right_ones() {
    const OBJECTS: usize = 3;
    let room = Room::without_pool(64 << 20);
    let store = room.connect();
    let bytes: Vec<_> = (0..OBJECTS).map(|index| pattern(index as u8, (1 << 20) + index)).collect();
    let names: Vec<_> = (0..OBJECTS).map(|index| format!("o{index}")).collect();
    for (name, bytes) in names.iter().zip(&bytes) {
        store.put_bytes(name, bytes, &PutOptions::default()).unwrap();
    }

    // What one thread forgets at the instant that another gets it again comes with a descriptor
    // that it does not need, before those that others of the same reply need.
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let (store, names, bytes) = (&store, &names, &bytes);
            scope.spawn(move || {
                let mut dice = Dice::new(seed);
                for _ in 0..2000 {
                    let first = dice.roll(OBJECTS);
                    let got = match dice.roll(2) {
                        0 => vec![(first, store.get(&names[first]))],
                        _ => store
                            .get_many(names, Duration::ZERO)
                            .unwrap()
                            .into_iter()
                            .enumerate()
                            .collect(),
                    };
                    for (index, object) in got {
                        let object = object.unwrap();
                        let (got, put) = (object.as_bytes(), &bytes[index]);
                        assert!(got.len() == put.len() && got[..64] == put[..64], "object {index}");
                    }
                }
            });
        }
    });
}

#[test]
fn eight_threads_that_wait_for_each_other_all_end() {
    let room = Room::without_pool(64 << 20);
    let store = room.connect();

    // Each thread waits for the one before it: only the first can begin.
    std::thread::scope(|scope| {
        for thread in (0..8).rev() {
            let store = &store;
            scope.spawn(move || {
                for round in 0..50 {
                    let before = format!("{}", round * 8 + thread);
                    store.get_timeout(before, PATIENCE).unwrap();
                    let name = format!("{}", round * 8 + thread + 1);
                    store.put_bytes(name, &[0; 5000], &PutOptions::default()).unwrap();
                }
            });
        }
        store.put_bytes("0", b"begin", &PutOptions::default()).unwrap();
    });

    assert_eq!(store.stat().unwrap().get("objects"), 401);
}

/// Forks; the child does its part and ends without any of the parent's goodbyes. Returns the
/// child's process id.
fn fork(child: impl FnOnce() -> bool) -> i32 {
    // SAFETY: the child only runs `child`, whose allocations glibc keeps safe across a fork, and
    // then ends; it never returns into the threads' world.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "no child");
    if pid == 0 {
        // SAFETY: the kernel ends this process after that time, or who waits for its output hangs.
        unsafe { libc::alarm(PATIENCE.as_secs() as u32) };
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child));
        // SAFETY: ends this process at once.
        unsafe { libc::_exit(i32::from(!done.unwrap_or(false))) };
    }
    pid
}

fn assert_succeeds(pid: i32) {
    let mut status = 0;
    // SAFETY: waits for a child of this process and writes its status where it is told to.
    let waited = unsafe { libc::waitpid(pid, &raw mut status, 0) };
    assert_eq!((waited, status), (pid, 0), "the child failed");
}

#[test]
#[ignore = "an actor of the test below"]
fn actor_forks_with_a_client_in_use() {
    let Some((store, _)) = as_actor() else { return };
    for (index, length) in LENGTHS.into_iter().enumerate() {
        let bytes = pattern(1, length);
        store.put_bytes(format!("o{index}"), &bytes, &PutOptions::default()).unwrap();
    }
    let names: Vec<_> = (0..LENGTHS.len()).map(|index| format!("o{index}")).collect();
    let held = store.get_many(&names, Duration::ZERO).unwrap();
    let held: Vec<_> = held.into_iter().map(Result::unwrap).collect();
    // Another thread reads the connection at this moment.
    let waiting = {
        let store = store.clone();
        std::thread::spawn(move || store.get_timeout("from the child", PATIENCE))
    };
    eventually("it waits", || store.stat().unwrap().get("waits") == 1);

    let child = fork({
        let (store, held) = (store.clone(), held.clone());
        move || {
            let whole = |object: &sheaf_store::Object, length: usize| {
                object.as_bytes() == pattern(1, length)
            };
            let inherited = held.iter().zip(LENGTHS).all(|(object, length)| whole(object, length));
            let own = names.iter().zip(LENGTHS).all(|(name, length)| {
                whole(&store.get(name).expect("the child connects anew"), length)
            });
            let two = store.stat().unwrap().get("clients") == 2;
            // Gives back nothing of the parent's.
            drop(held);
            store.put_bytes("from the child", b"1", &PutOptions::default()).unwrap();
            inherited && own && two
        }
    });

    assert_eq!(waiting.join().unwrap().unwrap().as_bytes(), b"1", "the parent's reply is its own");
    assert_succeeds(child);
    eventually("the child has left", || store.stat().unwrap().get("clients") == 1);
    let holders = store.info("o3", true).unwrap().holders;
    assert_eq!((holders.len(), holders[0].peer.pid), (1, std::process::id()));
    for (object, length) in held.iter().zip(LENGTHS) {
        assert!(object.as_bytes() == pattern(1, length));
    }
    work(&store, 1, 20);
}

#[test]
fn a_forked_child_uses_the_client_it_inherited() {
    let daemon = Daemon::start("64MiB");

    act("threads::actor_forks_with_a_client_in_use", &daemon, "");
}

#[test]
#[ignore = "an actor of the test below"]
fn actor_forks_while_it_writes() {
    let Some((store, _)) = as_actor() else { return };
    let mut draft = store.create("draft", 5 << 20, &PutOptions::default()).unwrap();
    draft.as_mut_slice().copy_from_slice(&pattern(3, 5 << 20));
    let address = format!("{:x}-", draft.as_slice().as_ptr().addr());
    let is_draft = |line: &String| line.trim_start_matches('0').starts_with(&address);
    let is_mapped = || own_maps().iter().any(is_draft);
    assert!(is_mapped());
    let (mut here, mut there) = UnixStream::pair().unwrap();

    let child = fork(move || {
        let inherited = is_mapped();
        there.write_all(&[u8::from(inherited)]).unwrap();
        let _ = there.read(&mut [0]); // Lives until the parent has sealed.
        !inherited
    });
    let mut inherited = [9];
    here.read_exact(&mut inherited).unwrap();
    let sealed = draft.seal();
    here.write_all(&[1]).unwrap();

    assert_eq!(inherited, [0], "the child has no way to the draft");
    assert_eq!(sealed.expect("the child does not keep it from being sealed").bytes, 5 << 20);
    assert_succeeds(child);
    assert!(store.get("draft").unwrap().as_bytes() == pattern(3, 5 << 20));
}

#[test]
fn a_forked_child_does_not_inherit_drafts_nor_keep_them_from_being_sealed() {
    let daemon = Daemon::start("64MiB");

    act("threads::actor_forks_while_it_writes", &daemon, "");
}

#[test]
#[ignore = "an actor of the test below"]
fn actor_forks_and_its_child_drops_a_draft() {
    let Some((store, _)) = as_actor() else { return };
    for bytes in [1000, 5 << 20] {
        let draft = store.create("draft", bytes, &PutOptions::default()).unwrap();
        let mut slot = Some(draft);

        let child = fork(|| {
            drop(slot.take());
            // The parent's draft is none of the child's business.
            store.get("draft").unwrap_err().kind() == Kind::NotFound
        });
        assert_succeeds(child);

        slot.take().unwrap().seal().expect("it was not aborted");
        store.delete("draft").unwrap();
    }
}

#[test]
fn a_forked_child_does_not_abort_its_parents_drafts() {
    let daemon = Daemon::start("64MiB");

    act("threads::actor_forks_and_its_child_drops_a_draft", &daemon, "");
}

#[test]
#[ignore = "an actor of the test below"]
fn actor_forks_and_is_killed() {
    let Some((store, _)) = as_actor() else { return };
    let _draft = store.create("draft", 5 << 20, &PutOptions::default()).unwrap();
    let child = fork(|| {
        std::thread::sleep(PATIENCE);
        true
    });
    println!("\nchild {child}");
    std::thread::sleep(PATIENCE);
}

#[test]
fn a_forked_child_that_outlives_its_parent_keeps_no_draft_alive() {
    let daemon = Daemon::start("64MiB");
    let store = daemon.connect();
    let mut parent = actor("threads::actor_forks_and_is_killed", &daemon, "");
    let output = BufReader::new(parent.stdout.take().unwrap());
    let mut lines = output.lines().map_while(Result::ok);
    let child = lines.find_map(|line| line.strip_prefix("child ")?.parse::<u32>().ok()).unwrap();
    let waiting = {
        let store = store.clone();
        std::thread::spawn(move || store.get_timeout("draft", PATIENCE))
    };
    eventually("the get waits", || store.stat().unwrap().get("waits") > 0);

    parent.kill().unwrap();
    parent.wait().unwrap();

    let outcome = waiting.join().unwrap();
    let lives = std::path::Path::new(&format!("/proc/{child}")).exists();
    signal(child, Signal::KILL);
    assert!(lives, "the child outlives its parent");
    assert_eq!(outcome.unwrap_err().kind(), Kind::WriterGone);
}

#[test]
fn a_stopped_store_is_not_waited_for_for_ever() {
    let daemon = Daemon::start("64MiB");
    signal(daemon.pid(), Signal::STOP);

    let outcome = sheaf_store::connect(&daemon.url());

    signal(daemon.pid(), Signal::CONT);
    let error = outcome.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.message().contains("stopped"), "{error}");
    daemon.connect().stat().unwrap();
}

#[test]
fn a_wait_ends_when_the_program_says_so_and_leaves_nothing_behind() {
    static ENDS: AtomicBool = AtomicBool::new(false);
    let room = Room::without_pool(64 << 20);
    let url = format!("unix:{}", room.connect().socket().display());
    let interrupted: Option<fn() -> bool> = Some(|| ENDS.load(Ordering::Relaxed));
    let options = ConnectOptions { interrupted, ..ConnectOptions::default() };
    let store = sheaf_store::connect_with(&url, &options).unwrap();
    // Two of them, so that one reads for both and the other sleeps.
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let store = store.clone();
            std::thread::spawn(move || store.get_timeout("never", PATIENCE))
        })
        .collect();
    let mut watch = store.watch("", false).unwrap();
    eventually("both wait", || store.stat().unwrap().get("waits") == 2);

    ENDS.store(true, Ordering::Relaxed);

    for waiting in waiting {
        assert_eq!(waiting.join().unwrap().unwrap_err().kind(), Kind::Interrupted);
    }
    assert_eq!(watch.next().unwrap().unwrap_err().kind(), Kind::Interrupted);
    ENDS.store(false, Ordering::Relaxed);
    assert_eq!(store.stat().unwrap().get("waits"), 0);
    work(&store, 1, 5);
    watch.next().unwrap().expect("an interrupted watch goes on");
}

#[test]
fn what_a_writer_keeps_of_an_aborted_draft_is_its_own() {
    let room = Room::without_pool(64 << 20);
    let store = room.connect();
    for bytes in [1000, 5 << 20] {
        let mut draft = store.create("draft", bytes, &PutOptions::default()).unwrap();
        draft.as_mut_slice().fill(7);
        let address = draft.as_slice().as_ptr();

        let mut view = draft.keep_view().unwrap();
        draft.abort().unwrap();

        assert_eq!(view.as_slice().as_ptr(), address);
        assert!(view.as_slice().iter().all(|byte| *byte == 7));
        view.as_mut_slice().fill(8);
        assert_eq!(store.get("draft").unwrap_err().kind(), Kind::NotFound);
        drop(view);
        eventually("its memory comes back", || store.stat().unwrap().get("retired_bytes") == 0);
    }
}

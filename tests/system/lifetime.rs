//! Sealed bytes never change, and whoever sees them keeps them: the kernel sees to both.

use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::{Array, Int64Array, RecordBatch};
use rustix::fs::{OFlags, SealFlags};
use rustix::io::Errno;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};
use sheaf_store::object::Name;
use sheaf_store::protocol::message::{Get, Reply};
use sheaf_store::{PutOptions, State};
use sheaf_tests::{Daemon, Room, pattern, replacing};

use crate::hostile::Hostile;

const MIB: usize = 1 << 20;

/// The size of an object in a segment, and of one in a container of its own.
const SIZES: [usize; 2] = [10_000, 5 * MIB];

#[test]
fn the_writers_old_view_survives_the_seal_where_it_was_and_reaches_nobody() {
    let room = Room::without_pool(64 << 20);
    let store = room.connect();
    for bytes in SIZES {
        let name = format!("o{bytes}");
        let mut draft = store.create(&name, bytes as u64, &PutOptions::default()).unwrap();
        draft.as_mut_slice().copy_from_slice(&pattern(1, bytes));
        let before = draft.as_slice().as_ptr();

        let mut view = draft.keep_view().unwrap();
        let info = draft.seal().unwrap();
        let object = store.get(&name).unwrap();

        assert_eq!(info.bytes, bytes as u64);
        assert_eq!(view.as_slice().as_ptr(), before, "views into the draft stay valid");
        assert!(view.as_slice() == pattern(1, bytes));
        view.as_mut_slice().fill(0xee);
        assert!(object.as_bytes() == pattern(1, bytes), "what is shared does not change");
        assert!(room.connect().get(&name).unwrap().as_bytes() == pattern(1, bytes));
    }
}

#[test]
fn a_writers_view_outlives_the_object() {
    let room = Room::without_pool(64 << 20);
    let store = room.connect();
    for bytes in SIZES {
        let mut draft = store.create("o", bytes as u64, &PutOptions::default()).unwrap();
        draft.as_mut_slice().copy_from_slice(&pattern(2, bytes));
        let view = draft.keep_view().unwrap();
        draft.seal().unwrap();

        store.delete("o").unwrap();
        store.put_bytes("other", &pattern(3, bytes), &replacing()).unwrap();

        assert!(view.as_slice() == pattern(2, bytes));
    }
}

#[test]
fn a_reader_can_neither_write_what_it_mapped_nor_make_it_writable() {
    let room = Room::without_pool(64 << 20);
    let store = room.connect();
    // What a debugger writes through: it minds no page protection where it may copy the page.
    let memory = std::fs::File::options().write(true).open("/proc/self/mem").unwrap();
    for bytes in SIZES {
        let name = format!("o{bytes}");
        store.put_bytes(&name, &pattern(4, bytes), &PutOptions::default()).unwrap();
        let object = store.get(&name).unwrap();
        let range = object.mapped_range().expect("it is mapped");
        let page = std::ptr::without_provenance_mut(range.start & !4095);

        let written = memory.write_at(&[0xee], range.start as u64);
        // SAFETY: it fails, as is claimed here; if it did not, the page would be readable still.
        let opened =
            unsafe { rustix::mm::mprotect(page, 4096, MprotectFlags::READ | MprotectFlags::WRITE) };

        assert!(written.is_err(), "{bytes} bytes: written through /proc/self/mem");
        assert_eq!(opened, Err(Errno::ACCESS), "{bytes} bytes: made writable");
        assert!(object.as_bytes() == pattern(4, bytes));
    }
}

#[test]
fn a_readers_descriptor_opens_no_way_to_write() {
    let daemon = Daemon::start("64MiB");
    let store = daemon.connect();
    for (bytes, write_seal) in SIZES.into_iter().zip([SealFlags::FUTURE_WRITE, SealFlags::WRITE]) {
        let name = format!("o{bytes}");
        store.put_bytes(&name, &pattern(5, bytes), &PutOptions::default()).unwrap();
        let get = Get { timeout_ms: 0, hold: true, names: vec![Name::new(&name).unwrap()] };
        let (reply, descriptors) = Hostile::new(&daemon).ask_for_memory(&get.into());
        assert!(matches!(reply, Reply::Got(_)));
        let descriptor = descriptors[0].as_fd();

        let seals = rustix::fs::fcntl_get_seals(descriptor).unwrap();
        let mode = rustix::fs::fcntl_getfl(descriptor).unwrap() & OFlags::ACCMODE;
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&descriptors[0]));

        assert!(seals.contains(write_seal | SealFlags::SHRINK | SealFlags::GROW), "{seals:?}");
        assert_eq!(mode, OFlags::RDONLY);
        // The same user may open the file again, and is none the better for it.
        if let Ok(again) = std::fs::File::options().read(true).write(true).open(path) {
            assert!(again.write_at(&[0xee], 0).is_err());
            assert!(again.set_len(0).is_err());
            assert!(again.set_len(1 << 30).is_err());
            let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
            // SAFETY: a new mapping at an address of the kernel's choice; nobody uses it.
            let mapped = unsafe {
                rustix::mm::mmap(std::ptr::null_mut(), 4096, protection, flags, &again, 0)
            };
            assert_eq!(mapped, Err(Errno::PERM));
        }
        assert!(store.get(&name).unwrap().as_bytes() == pattern(5, bytes));
    }
}

#[test]
fn batches_outlive_their_object_their_client_their_name_and_the_daemon() {
    let mut daemon = Daemon::start("64MiB");
    let mut kept = Vec::new();
    for rows in [1000_i64, 500_000] {
        let store = daemon.connect();
        let numbers = Int64Array::from_iter_values(0..rows);
        let batch = RecordBatch::try_from_iter([("n", std::sync::Arc::new(numbers) as _)]).unwrap();
        let name = format!("t{rows}");
        store
            .put(&name, &batch.schema(), std::slice::from_ref(&batch), &PutOptions::default())
            .unwrap();
        let column = {
            let table = store.get(&name).unwrap().table().unwrap();
            table.batch(0).unwrap().column(0).slice(1, rows as usize - 1)
        };
        kept.push((column, batch.column(0).slice(1, rows as usize - 1)));
        store.delete(&name).unwrap();
        store.put(&name, &batch.schema(), &[], &PutOptions::default()).unwrap();
    }

    daemon.kill();

    for (column, expected) in kept {
        assert_eq!(column.to_data(), expected.to_data());
    }
}

#[test]
fn a_client_that_is_gone_keeps_its_holds_as_long_as_its_batches() {
    let room = Room::without_pool(64 << 20);
    let store = room.connect();
    store.put_bytes("o", &pattern(6, 5 * MIB), &PutOptions::default()).unwrap();
    let object = room.connect().get("o").unwrap();

    store.delete("o").unwrap();

    let retired = store.list("", true).unwrap();
    assert_eq!(retired.len(), 1);
    assert_eq!(retired[0].state, State::Retired);
    assert_eq!(retired[0].holders.len(), 1);
    assert!(object.as_bytes() == pattern(6, 5 * MIB));
    drop(object);
    sheaf_tests::eventually("it is gone", || store.list("", true).unwrap().is_empty());
}

#[test]
fn what_was_put_is_what_the_next_get_finds_in_whatever_memory_it_lies() {
    let room = Room::with_pool(256 << 20, None);
    let (store, reader) = (room.connect(), room.connect());
    // From the index, from a segment and from a container of its own, in every order.
    let lengths = [100, 70_000, 1_300_000, 100, 1_300_000, 70_000];
    for (version, length) in (0..=u8::MAX).zip(lengths.into_iter().cycle()) {
        store.put_bytes("o", &vec![version; length], &replacing()).unwrap();

        for client in [&store, &reader] {
            let object = client.get("o").unwrap();
            assert_eq!((object.as_bytes().len(), object.as_bytes()[0]), (length, version));
        }
    }
}

#[test]
fn readers_see_every_replaced_object_whole_and_never_an_older_one_again() {
    // Tiny, small and large: each next version may lie in another kind of memory.
    const LENGTHS: [usize; 3] = [2000, 70_000, 1_300_000];
    const VERSIONS: u8 = 120;
    let room = Room::with_pool(256 << 20, None);
    let store = room.connect();
    let bytes = |version: u8| vec![version; LENGTHS[usize::from(version) % 3]];
    store.put_bytes("o", &bytes(0), &PutOptions::default()).unwrap();
    let done = AtomicBool::new(false);

    std::thread::scope(|scope| {
        for own_connection in [true, true, false] {
            let store = if own_connection { room.connect() } else { store.clone() };
            let done = &done;
            scope.spawn(move || {
                let (mut newest, mut held) = (0, Vec::new());
                while !done.load(Ordering::Relaxed) {
                    let object = store.get("o").expect("it is there at every moment");
                    let version = object.as_bytes()[0];
                    assert!(version >= newest, "{version} after {newest}");
                    assert!(object.as_bytes() == bytes(version), "not all of version {version}");
                    newest = version;
                    if held.len() == 4 {
                        held.remove(0);
                    }
                    held.push(object);
                }
            });
        }
        for version in 1..=VERSIONS {
            store.put_bytes("o", &bytes(version), &replacing()).unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });

    assert!(store.get("o").unwrap().as_bytes() == bytes(VERSIONS));
}

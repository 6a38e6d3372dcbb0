//! Hostile clients cost themselves only.
//!
//! Each test speaks bytes to the socket that no honest client would, while an honest one works on.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use bytes::{Bytes, BytesMut};
use rustix::net::{RecvFlags, SendFlags};
use sheaf_store::memory::WriteMap;
use sheaf_store::object::{Name, ObjectKind};
use sheaf_store::protocol::frame::{self, HEADER_BYTES};
use sheaf_store::protocol::message::{
    Abort, Create, Created, Fetch, Get, Grow, Hello, Label, Put, PutItem, Release, Released, Reply,
    Request, Seal,
};
use sheaf_store::protocol::socket::{receive, send};
use sheaf_store::protocol::{MAGIC, VERSION};
use sheaf_store::{Kind, PutOptions};
use sheaf_tests::{Daemon, descriptors, eventually, replacing};

/// A connection that says what it likes.
pub(crate) struct Hostile {
    socket: UnixStream,
    next_id: u64,
}

impl Hostile {
    pub(crate) fn new(daemon: &Daemon) -> Self {
        let mut hostile = Self::silent(daemon);
        let hello = Hello { magic: MAGIC, version: VERSION, command: "hostile".into() };
        let reply = hostile.ask(hello.into());
        assert!(matches!(reply, Reply::Welcome(_)));
        hostile
    }

    fn silent(daemon: &Daemon) -> Self {
        let socket = UnixStream::connect(daemon.socket()).unwrap();
        socket.set_read_timeout(Some(sheaf_tests::PATIENCE)).unwrap();
        Self { socket, next_id: 1 }
    }

    /// Sends a request; ids count from 1, which was the hello.
    pub(crate) fn say(&mut self, request: &Request) -> std::io::Result<()> {
        let mut out = Vec::new();
        frame::write(&mut out, request.code(), 0, self.next_id, |body| request.put(body));
        self.next_id += 1;
        self.socket.write_all(&out)
    }

    pub(crate) fn ask(&mut self, request: Request) -> Reply {
        self.say(&request).unwrap();
        self.hear().expect("an answer")
    }

    pub(crate) fn hear(&mut self) -> Option<Reply> {
        let mut header = [0; HEADER_BYTES];
        self.socket.read_exact(&mut header).ok()?;
        let length = u32::from_le_bytes(header[..4].try_into().unwrap()) as usize;
        let mut body = vec![0; length];
        self.socket.read_exact(&mut body).ok()?;
        Some(Reply::take(header[4], Bytes::from(body)).unwrap())
    }

    /// As [`Hostile::ask`], with the descriptors that come beside the reply.
    pub(crate) fn ask_for_memory(&mut self, request: &Request) -> (Reply, Vec<OwnedFd>) {
        self.say(request).unwrap();
        let (mut received, mut descriptors) = (BytesMut::new(), Vec::new());
        loop {
            let flags = RecvFlags::empty();
            receive(&self.socket, 4096, &mut received, &mut descriptors, flags).unwrap();
            if let Some(frame) = frame::take(&mut received).unwrap() {
                return (Reply::take(frame.code, frame.body).unwrap(), descriptors);
            }
        }
    }

    /// A large draft and its descriptor.
    fn draft(&mut self, text: &str, bytes: u64) -> (Created, OwnedFd) {
        let (reply, mut descriptors) =
            self.ask_for_memory(&Create { label: label(text), bytes }.into());
        let Reply::Created(created) = reply else { panic!("a draft") };
        (created, descriptors.remove(0))
    }

    fn ask_kind(&mut self, request: Request) -> Kind {
        match self.ask(request) {
            Reply::Failed(failed) => Kind::from_code(failed.kind),
            other => panic!("it should have failed: {other:?}"),
        }
    }
}

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn label(text: &str) -> Label {
    Label::new(name(text), ObjectKind::Bytes, &PutOptions::default())
}

/// The honest client still gets what it puts, at once.
fn assert_serves(daemon: &Daemon) {
    let store = daemon.connect();
    store.put_bytes("honest", &[3; 100_000], &replacing()).unwrap();
    assert_eq!(store.get("honest").unwrap().as_bytes(), [3; 100_000]);
    store.delete("honest").unwrap();
}

#[test]
fn garbage_and_bad_lengths_end_the_connection_that_sent_them() {
    let daemon = Daemon::start("64MiB");
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[0xff; 64],
        &[0; 16],
        &[0xff, 0xff, 0xff, 0x7f, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0],
    ] {
        let mut hostile = Hostile::silent(&daemon);
        let _ = hostile.socket.write_all(bytes);
        hostile.socket.shutdown(std::net::Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        let _ = hostile.socket.read_to_end(&mut rest);
        assert_serves(&daemon);
    }
}

#[test]
fn another_protocol_version_is_refused_by_name() {
    let daemon = Daemon::start("64MiB");
    let mut hostile = Hostile::silent(&daemon);

    let hello = Hello { magic: MAGIC, version: VERSION + 1, command: String::new() };

    assert_eq!(hostile.ask_kind(hello.into()), Kind::Invalid);
    assert!(hostile.hear().is_none(), "the store hangs up");
}

#[test]
fn foreign_ids_are_refused_and_change_nothing() {
    let daemon = Daemon::start("64MiB");
    let store = daemon.connect();
    let draft = store.create("d", 3 << 20, &PutOptions::default()).unwrap();
    store.put_bytes("o", &[1; 9000], &PutOptions::default()).unwrap();
    let object = store.get("o").unwrap();
    let mut hostile = Hostile::new(&daemon);
    for id in [0, 1, 2, 3, 4, u64::MAX] {
        assert_eq!(hostile.ask_kind(Abort { object: id }.into()), Kind::Invalid);
        let seal = Seal { object: id, len: 1, data: Bytes::new() };
        assert_eq!(hostile.ask_kind(seal.into()), Kind::Invalid);
        assert_eq!(hostile.ask_kind(Fetch { object: id }.into()), Kind::Invalid);
        let released = Released { object: id, times: 1 };
        let release = Release { objects: vec![released], forget: vec![id] };
        assert_eq!(hostile.ask_kind(release.into()), Kind::Invalid);
    }
    draft.seal().unwrap();
    assert_eq!(object.as_bytes(), [1; 9000]);
    assert_serves(&daemon);
}

#[test]
fn a_draft_is_sealed_once() {
    let daemon = Daemon::start("64MiB");
    let mut hostile = Hostile::new(&daemon);
    let Reply::Created(created) = hostile.ask(Create { label: label("d"), bytes: 10 }.into())
    else {
        panic!("a draft");
    };
    let seal = Seal { object: created.object, len: 4, data: Bytes::from_static(b"once") };
    assert!(matches!(hostile.ask(seal.clone().into()), Reply::Sealed(_)));

    assert_eq!(hostile.ask_kind(seal.into()), Kind::Invalid);

    assert_eq!(daemon.connect().get("d").unwrap().as_bytes(), b"once");
}

#[test]
fn a_seal_that_lies_about_its_length_is_refused() {
    let daemon = Daemon::start("64MiB");
    let mut hostile = Hostile::new(&daemon);
    for (len, data) in [(u64::MAX, &b"abc"[..]), (11, b"abc"), (4, b"abc"), (2, b"abc")] {
        let create = Create { label: label(&format!("d{len}")), bytes: 10 };
        let Reply::Created(created) = hostile.ask(create.into()) else { panic!("a draft") };
        let seal = Seal { object: created.object, len, data: Bytes::from_static(data) };
        assert_eq!(hostile.ask_kind(seal.into()), Kind::Invalid);
    }
    assert_serves(&daemon);
}

#[test]
fn a_seal_with_a_live_mapping_is_refused_and_blocks_nobody() {
    let daemon = Daemon::start("64MiB");
    let mut hostile = Hostile::new(&daemon);
    let create = Create { label: label("d"), bytes: 3 << 20 };
    let (reply, mut descriptors) = hostile.ask_for_memory(&create.into());
    let Reply::Created(created) = reply else { panic!("a draft") };
    let map = WriteMap::new(descriptors.remove(0), 3 << 20).unwrap();

    let seal = Seal { object: created.object, len: 3 << 20, data: Bytes::new() };
    hostile.say(&seal.clone().into()).unwrap();
    assert_serves(&daemon);
    let Some(Reply::Failed(failed)) = hostile.hear() else { panic!("a refusal") };
    assert_eq!(Kind::from_code(failed.kind), Kind::Invalid, "{}", failed.message);

    drop(map);
    assert!(matches!(hostile.ask(seal.into()), Reply::Sealed(_)), "unmapped, it may be sealed");
}

#[test]
fn a_hundred_thousand_drafts_are_too_many_for_one_client_only() {
    let daemon = Daemon::start("64MiB");
    let mut hostile = Hostile::new(&daemon);
    let mut refused = 0;
    for round in 0..100 {
        for item in 0..1000 {
            let create = Create { label: label(&format!("{round}/{item}")), bytes: 1 };
            hostile.say(&create.into()).unwrap();
        }
        for _ in 0..1000 {
            refused += usize::from(matches!(hostile.hear(), Some(Reply::Failed(_))));
        }
    }
    assert!(refused >= 90_000, "only {refused} of 100,000 were refused");
    assert_serves(&daemon);

    drop(hostile);
    let store = daemon.connect();
    eventually("its drafts end", || store.stat().unwrap().get("drafts") == 0);
    assert_eq!(store.stat().unwrap().get("draft_bytes"), 0);
}

#[test]
fn a_client_that_never_reads_its_replies_stops_being_served() {
    let daemon = Daemon::start("64MiB");
    let store = daemon.connect();
    for item in 0..100 {
        store.put_bytes(format!("o{item}"), &[1; 4000], &PutOptions::default()).unwrap();
    }
    let mut hostile = Hostile::new(&daemon);
    hostile.socket.set_nonblocking(true).unwrap();
    let names: Vec<_> = (0..100).map(|item| name(&format!("o{item}"))).collect();
    let get = Request::from(Get { timeout_ms: 0, hold: true, names });
    let blocked = (0..10_000).any(|_| hostile.say(&get).is_err());
    assert!(blocked, "it is not read from for ever");
    assert_serves(&daemon);
    let resident = resident_bytes(daemon.pid());
    assert!(resident < 512 << 20, "the store keeps {resident} bytes for it");
}

#[test]
fn descriptors_that_nobody_asked_for_are_closed() {
    let daemon = Daemon::start("64MiB");
    let hostile = Hostile::new(&daemon);
    let before = descriptors(daemon.pid());
    let file = std::fs::File::open("/dev/null").unwrap();
    let beside = [std::os::fd::AsFd::as_fd(&file); 100];
    for _ in 0..50 {
        send(&hostile.socket, &[0], &beside, SendFlags::empty()).unwrap();
    }
    assert_serves(&daemon);
    eventually("they are closed", || descriptors(daemon.pid()) <= before + 3);
}

#[test]
fn frames_over_the_limits_are_refused() {
    let daemon = Daemon::start("64MiB");
    let mut hostile = Hostile::new(&daemon);
    let too_large = PutItem { label: label("x"), data: Bytes::from(vec![0; 9 << 20]) };
    let Reply::Stored(stored) = hostile.ask(Put { items: vec![too_large] }.into()) else {
        panic!("an outcome for each item")
    };
    assert_eq!(stored.items[0].as_ref().unwrap_err().kind(), Kind::Invalid);
    let names: Vec<_> = (0..1000).map(|item| name(&item.to_string())).collect();
    let get = Get { timeout_ms: u64::MAX, hold: true, names };
    assert_eq!(hostile.ask_kind(get.into()), Kind::Invalid);
    let metadata = Bytes::from(vec![0; 100_000]);
    let create = Create { label: Label { metadata, ..label("m") }, bytes: 1 };
    assert_eq!(hostile.ask_kind(create.into()), Kind::Invalid);
    let create = Create { label: label("huge"), bytes: u64::MAX };
    assert!(matches!(hostile.ask_kind(create.into()), Kind::Full | Kind::Invalid));
    assert_serves(&daemon);
}

#[test]
fn a_table_of_wrong_bytes_is_refused_at_seal() {
    let daemon = Daemon::start("64MiB");
    let mut hostile = Hostile::new(&daemon);
    for size in [100usize, 100_000] {
        let text = format!("t{size}");
        let label = Label::new(name(&text), ObjectKind::Table, &PutOptions::default());
        let item = PutItem { label, data: Bytes::from(vec![0x41; size]) };
        let Reply::Stored(stored) = hostile.ask(Put { items: vec![item] }.into()) else {
            panic!("an outcome for each item")
        };
        assert_eq!(stored.items[0].as_ref().unwrap_err().kind(), Kind::Invalid);
        assert_eq!(daemon.connect().get(&text).unwrap_err().kind(), Kind::NotFound);
    }
}

#[test]
fn a_slow_hello_is_not_waited_for_by_others() {
    let daemon = Daemon::start("64MiB");
    let _silent: Vec<_> = (0..200).map(|_| Hostile::silent(&daemon)).collect();
    eventually("all are connected", || descriptors(daemon.pid()) >= 200);
    assert_serves(&daemon);
}

fn resident_bytes(pid: u32) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
    let pages: Vec<u64> = statm.split_whitespace().map(|n| n.parse().unwrap()).collect();
    // Without shared pages: the objects themselves are no cost of a client.
    (pages[1] - pages[2]) * 4096
}

#[test]
fn a_draft_that_could_not_grow_counts_while_its_writer_maps_it() {
    let daemon = Daemon::start("64MiB");
    let store = daemon.connect();
    let mut hostile = Hostile::new(&daemon);
    let (created, descriptor) = hostile.draft("d", 20 << 20);
    let map = WriteMap::new(descriptor.try_clone().unwrap(), 20 << 20).unwrap();
    rustix::fs::fcntl_add_seals(&descriptor, rustix::fs::SealFlags::GROW).unwrap();
    drop(descriptor);

    let grow = Grow { object: created.object, bytes: 40 << 20, wait_ms: 0 };
    hostile.ask_kind(grow.into());

    assert!(store.stat().unwrap().get("retired_bytes") >= 20 << 20, "it is mapped, so it counts");
    drop(map);
    eventually("it comes back", || store.stat().unwrap().get("retired_bytes") == 0);
    assert_serves(&daemon);
}

#[test]
fn waiting_items_do_not_keep_the_frames_they_came_in() {
    let daemon = Daemon::start("2MiB");
    let store = daemon.connect();
    let filled = (0..).find(|number| {
        store.put_bytes(format!("f{number}"), &[1; 9000], &PutOptions::default()).is_err()
    });
    assert!(filled.is_some());
    let mut hostile = Hostile::new(&daemon);
    let before = resident_bytes(daemon.pid());
    for frame in 0..40 {
        let waiting = Label { wait_ms: 3_600_000, ..label(&format!("w{frame}")) };
        let items = vec![
            PutItem { label: waiting, data: Bytes::from(vec![1; 20_000]) },
            PutItem { label: label("too large"), data: Bytes::from(vec![1; 15 << 20]) },
        ];
        hostile.say(&Put { items }.into()).unwrap();
    }
    eventually("they wait", || store.stat().unwrap().get("queued") >= 40);

    let grown = resident_bytes(daemon.pid()).saturating_sub(before);
    assert!(grown < 200 << 20, "40 items of 20 KB keep {grown} bytes");
}

#[test]
fn a_flood_of_releases_has_nobody_else_wait() {
    let daemon = Daemon::start("256MiB");
    let mut hostile = Hostile::new(&daemon);
    let maps: Vec<_> = (0..50)
        .map(|number| {
            let (created, descriptor) = hostile.draft(&format!("d{number}"), 2 << 20);
            let map = WriteMap::new(descriptor, 2 << 20).unwrap();
            assert!(matches!(hostile.ask(Abort { object: created.object }.into()), Reply::Done(_)));
            map
        })
        .collect();
    let release = Request::from(Release { objects: vec![], forget: vec![1] });
    std::thread::scope(|scope| {
        scope.spawn(|| (0..20_000).all(|_| hostile.say(&release).is_ok()));
        for _ in 0..20 {
            assert_serves(&daemon);
        }
    });
    drop(maps);
}

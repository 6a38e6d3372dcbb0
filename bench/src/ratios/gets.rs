//! What a get takes beyond the round trip that it is.

use std::fs::File;
use std::io::{BufReader, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::ptr;

use rustix::fs::{MemfdFlags, fcntl_get_seals, fstat, memfd_create};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use sheaf_store::PutOptions;

use super::{Row, Scale};
use crate::clock::{median, timed};
use crate::process::{self, Store, next_line, settle};
use crate::tables::batch;
use crate::{MIB, Outcome};

/// About as long as a get and its reply.
const PING_BYTES: usize = 64;

/// The first byte of a ping that is answered with a descriptor too.
const WITH_DESCRIPTOR: u8 = 1;

/// Gets of a table that is mapped and of tables that are not, the least that can be asked of the
/// store, and the least that a socket between two processes can do, without a descriptor and with
/// one that is mapped and touched at both ends: all in turn.
pub(super) fn round_trips(scale: Scale) -> Outcome<Vec<Row>> {
    let tables = scale.calls / 10;
    let store = Store::start((tables + 64) * MIB, 0)?;
    let client = store.client()?;
    let table = batch(MIB);
    for index in 0..tables {
        let name = format!("table-{index}");
        client.put(name, &table.schema(), std::slice::from_ref(&table), &PutOptions::default())?;
    }
    settle(&client)?;
    let mapped = client.get("table-0")?;
    let mut ping = Ping::start()?;
    let mut samples: [Vec<f64>; 6] = Default::default();
    for call in 0..scale.calls {
        samples[0].push(ping.seconds()?);
        let (info, seconds) = timed(|| client.info("table-0", false));
        info?;
        samples[1].push(seconds);
        let (got, seconds) = timed(|| client.get("table-0")?.table()?.batch(0));
        got?;
        samples[2].push(seconds);
        if call % 10 == 0 && call > 0 {
            samples[3].push(ping.seconds_with_mapping()?);
            let name = format!("table-{}", call / 10);
            let (got, seconds) = timed(|| client.get(name));
            let object = got?;
            samples[4].push(seconds);
            let (batch, decoding) = timed(|| object.table()?.batch(0));
            batch?;
            samples[5].push(seconds + decoding);
        }
    }
    drop(mapped);
    let [bare, least, again, mapping, new, whole] = samples.map(|samples| median(&samples) * 1e6);
    let row = |what: &str, us: f64, reach| {
        let beyond = format!("trip {:+.1} us", us - least);
        Row::new(what, format!("{us:.1} us"), beyond, reach)
    };
    Ok(vec![
        row("round trip: bare socket", bare, "(yardstick)"),
        row("round trip: the store's least request", least, "(yardstick)"),
        row("get + batch, table mapped already", again, "one round trip"),
        row("bare descriptor, mapped, both ends read", mapping, "(yardstick)"),
        row("get, table new to this client", new, "one round trip + 10 us"),
        row("get + batch, table new to this client", whole, ""),
    ])
}

/// A process that sends back what it is sent.
struct Ping {
    socket: UnixStream,
    _child: process::Reaped,
}

impl Ping {
    fn start() -> Outcome<Self> {
        let mut child = process::start("pong", &[])?;
        let output = child.stdout.take().ok_or("a child without an output")?;
        let child = process::Reaped(child);
        let path = next_line(&mut BufReader::new(output))?;
        Ok(Self { socket: UnixStream::connect(path)?, _child: child })
    }

    fn seconds(&mut self) -> Outcome<f64> {
        let mut bytes = [0; PING_BYTES];
        let (done, seconds) = timed(|| {
            self.socket.write_all(&bytes)?;
            self.socket.read_exact(&mut bytes)
        });
        done?;
        Ok(seconds)
    }

    /// The least that a get of something new can be: a round trip that brings a descriptor, which
    /// is asked for its size and seals, mapped, and read where a table's ends are.
    fn seconds_with_mapping(&mut self) -> Outcome<f64> {
        let mut bytes = [0; PING_BYTES];
        bytes[0] = WITH_DESCRIPTOR;
        let (mapped, seconds) = timed(|| -> Outcome<_> {
            self.socket.write_all(&bytes)?;
            let descriptor = receive_descriptor(&self.socket, &mut bytes)?;
            let len = fstat(&descriptor)?.st_size as usize;
            fcntl_get_seals(&descriptor)?;
            // SAFETY: a new mapping, anywhere; it is read through the pointer below only.
            let base = unsafe {
                mmap(ptr::null_mut(), len, ProtFlags::READ, MapFlags::SHARED, &descriptor, 0)?
            };
            // SAFETY: both bytes lie in the mapping.
            let ends = unsafe { base.cast::<u8>().read_volatile() }
                + unsafe { base.cast::<u8>().add(len - 1).read_volatile() };
            Ok((base, len, ends))
        });
        let (base, len, _) = mapped?;
        // SAFETY: nothing refers to the mapping.
        unsafe { munmap(base, len)? };
        Ok(seconds)
    }
}

fn receive_descriptor(socket: &UnixStream, bytes: &mut [u8]) -> Outcome<OwnedFd> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    recvmsg(socket, &mut [IoSliceMut::new(bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let descriptor = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut rights) => rights.next(),
        _ => None,
    });
    descriptor.ok_or_else(|| "a reply without a descriptor".into())
}

fn send_descriptor(socket: &UnixStream, bytes: &[u8], descriptor: &File) -> Outcome<()> {
    let descriptors = [descriptor.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::empty())?;
    Ok(())
}

/// The role of the other end: prints its socket's path and sends back what it is sent.
///
/// # Errors
/// When there is no socket to be had.
pub fn pong() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("pong.sock");
    let listener = UnixListener::bind(&path)?;
    println!("{}", path.display());
    let (mut socket, _) = listener.accept()?;
    let container = memfd_create("pong", MemfdFlags::CLOEXEC)?;
    File::from(container.try_clone()?).write_all(&vec![1; MIB])?;
    let path = format!("/proc/self/fd/{}", container.as_raw_fd());
    let mut bytes = [0; PING_BYTES];
    while socket.read_exact(&mut bytes).is_ok() {
        if bytes[0] == WITH_DESCRIPTOR {
            send_descriptor(&socket, &bytes, &File::open(&path)?)?;
        } else {
            socket.write_all(&bytes)?;
        }
    }
    Ok(())
}

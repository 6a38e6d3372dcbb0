//! Whose a connection from this machine is.
//!
//! The near door lets in its own user and root, and nobody else. A loopback address would let in
//! everybody on the machine, so the kernel is asked who has the other end: by `sock_diag`, which
//! finds one socket among any number, or else in `/proc/net/tcp`, where all are listed.
//!
//! **What can't be told is refused**, but where the kernel can't tell at all, which is found out
//! before the first connection and said.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with,
};

/// The state of a connection that both ends have, as the kernel numbers it. In others the owner may
/// be gone, and what is told of him is wrong.
const ESTABLISHED: u8 = 1;

/// `SOCK_DIAG_BY_FAMILY`.
const BY_FAMILY: u16 = 20;

/// A message's header, and a request for one socket of TCP.
const HEADER_BYTES: usize = 16;
const REQUEST_BYTES: usize = HEADER_BYTES + 56;

/// Where an answer has what is needed of it.
const STATE_AT: usize = HEADER_BYTES + 1;
const UID_AT: usize = HEADER_BYTES + 4 + 48 + 12;

/// The lists of the kernel, of either family.
const LISTS: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];

/// Asks the kernel.
pub(crate) struct Neighbours(Mutex<Option<OwnedFd>>);

impl Neighbours {
    /// Makes sure that the kernel tells.
    pub(crate) fn new() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        let socket =
            socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(SOCK_DIAG)).ok();
        let neighbours = Self(Mutex::new(socket));
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let client = TcpStream::connect(listener.local_addr()?)?;
        match neighbours.owner(client.local_addr()?, client.peer_addr()?) {
            Some(uid) if uid == own() => Ok(neighbours),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// The user who has the end `client` of a connection whose end `server` is ours; nothing if
    /// that can't be told, or nobody has it any more.
    pub(crate) fn owner(&self, client: SocketAddr, server: SocketAddr) -> Option<u32> {
        let (client, server) = (canonical(client), canonical(server));
        self.ask(client, server).or_else(|| listed(client, server))
    }

    fn ask(&self, client: SocketAddr, server: SocketAddr) -> Option<u32> {
        let socket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let socket = socket.as_ref()?;
        let kernel = SocketAddrNetlink::new(0, 0);
        sendto(socket, &request(client, server), SendFlags::DONTWAIT, &kernel).ok()?;
        // The kernel has answered when `sendto` returns.
        let mut answer = [0; 512];
        let (len, _) = recv(socket, &mut answer[..], RecvFlags::DONTWAIT).ok()?;
        let answer = &answer[..len.min(512)];
        let kind = u16::from_ne_bytes([*answer.get(4)?, *answer.get(5)?]);
        let uid = answer.get(UID_AT..UID_AT + 4)?;
        let is_whole = kind == BY_FAMILY && answer[STATE_AT] == ESTABLISHED;
        is_whole.then(|| u32::from_ne_bytes([uid[0], uid[1], uid[2], uid[3]]))
    }
}

/// Whether this user may do what the store's own may: as at the near door.
pub(crate) fn is_ours(uid: u32) -> bool {
    uid == own() || uid == 0
}

fn own() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// An IPv4 connection is the same in the clothes of IPv6.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Asks for the one socket with these ends.
fn request(client: SocketAddr, server: SocketAddr) -> [u8; REQUEST_BYTES] {
    const REQUEST: u16 = 1;
    const TCP: u8 = 6;
    let (family, client_ip, server_ip) = match (client.ip(), server.ip()) {
        (IpAddr::V4(client), IpAddr::V4(server)) => {
            let padded = |address: [u8; 4]| {
                let mut bytes = [0; 16];
                bytes[..4].copy_from_slice(&address);
                bytes
            };
            (AddressFamily::INET, padded(client.octets()), padded(server.octets()))
        }
        (client, server) => {
            let octets = |address: IpAddr| match address {
                IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
                IpAddr::V6(address) => address.octets(),
            };
            (AddressFamily::INET6, octets(client), octets(server))
        }
    };
    let mut bytes = [0; REQUEST_BYTES];
    let mut at = 0;
    let mut put = |part: &[u8]| {
        bytes[at..at + part.len()].copy_from_slice(part);
        at += part.len();
    };
    put(&(REQUEST_BYTES as u32).to_ne_bytes());
    put(&BY_FAMILY.to_ne_bytes());
    put(&REQUEST.to_ne_bytes());
    put(&[0; 8]); // Sequence and sender: one question at a time.
    put(&[family.as_raw() as u8, TCP, 0, 0]);
    put(&u32::MAX.to_ne_bytes()); // In any state.
    put(&client.port().to_be_bytes());
    put(&server.port().to_be_bytes());
    put(&client_ip);
    put(&server_ip);
    put(&[0; 4]); // On any interface.
    put(&[0xff; 8]); // Whatever its cookie.
    bytes
}

/// The same, from the kernel's lists.
fn listed(client: SocketAddr, server: SocketAddr) -> Option<u32> {
    LISTS.iter().find_map(|path| {
        let list = std::fs::read_to_string(path).ok()?;
        list.lines().skip(1).find_map(|line| {
            let fields: Vec<_> = line.split_ascii_whitespace().collect();
            let [_, from, to, state, _, _, _, uid, ..] = fields[..] else { return None };
            let is_it = u8::from_str_radix(state, 16) == Ok(ESTABLISHED)
                && end(from) == Some(client)
                && end(to) == Some(server);
            uid.parse().ok().filter(|_| is_it)
        })
    })
}

/// One end of a connection, as the lists have it: words of the machine's own order, then the port.
fn end(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let mut octets = Vec::new();
    for at in (0..address.len()).step_by(8) {
        let word = u32::from_str_radix(address.get(at..at + 8)?, 16).ok()?;
        octets.extend_from_slice(&word.to_ne_bytes());
    }
    let address = match *octets {
        [a, b, c, d] => IpAddr::from([a, b, c, d]),
        _ => IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(octets).ok()?)),
    };
    Some(canonical(SocketAddr::new(address, port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The owner by either way, of a connection between these addresses.
    fn owners(listen: &str, connect: &str) -> [Option<u32>; 2] {
        let listener = TcpListener::bind(listen).unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect((connect, port)).unwrap();
        let (server, peer) = listener.accept().unwrap();
        let (peer, server) = (canonical(peer), canonical(server.local_addr().unwrap()));
        let asked = Neighbours::new().unwrap().ask(peer, server);
        let found = listed(peer, server);
        drop(client);
        [asked, found]
    }

    #[test]
    fn the_kernel_tells_whose_a_connection_is() {
        let own = Some(own());

        assert_eq!(owners("127.0.0.1:0", "127.0.0.1"), [own, own]);
        assert_eq!(owners("127.0.0.1:0", "::ffff:127.0.0.1"), [own, own]);
        assert_eq!(owners("[::1]:0", "::1"), [own, own]);
    }

    #[test]
    fn one_that_is_gone_is_nobodys() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let client = TcpStream::connect(server).unwrap();
        let peer = client.local_addr().unwrap();
        let neighbours = Neighbours::new().unwrap();
        assert_eq!(neighbours.owner(peer, server), Some(own()));

        drop(client);

        assert_eq!(neighbours.owner(peer, server), None);
    }

    #[test]
    fn an_end_is_read_as_the_kernel_lists_it() {
        let word = |octets: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(octets));
        let v4 = word([127, 0, 0, 1]);
        let mapped = format!("{}{}{}", "0".repeat(16), word([0, 0, 0xff, 0xff]), v4);

        assert_eq!(end(&format!("{v4}:226F")), "127.0.0.1:8815".parse().ok());
        assert_eq!(end(&format!("{mapped}:226F")), "127.0.0.1:8815".parse().ok());
        for text in ["", ":", "0:0", "0100007F", "0100007F:1FFFF", "é100007F:226F", "0100007F00:1"]
        {
            assert_eq!(end(text), None, "{text}");
        }
    }
}

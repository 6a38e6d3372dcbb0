//! How the store's own values, those of `object.rs`, look on the wire.

use bytes::Bytes;

use super::wire::{Wire, put_bytes};
use crate::error::{Error, Kind, Result};
use crate::object::{EventKind, Holder, Info, ObjectKind, Peer, State};

/// Declares how a fieldless enum looks on the wire: one byte each.
macro_rules! wire_enum {
    ($type:ident, $($variant:ident = $code:literal),*) => {
        impl Wire for $type {
            const TYPE: &'static str = stringify!($type);
            const LEAST_BYTES: usize = 1;
            fn put(&self, out: &mut Vec<u8>) {
                out.push(match self { $(Self::$variant => $code,)* });
            }
            fn take(input: &mut Bytes) -> Result<Self> {
                match u8::take(input)? {
                    $($code => Ok(Self::$variant),)*
                    other => Err(Error::new(
                        Kind::Invalid,
                        format!("there is no {} {other}", stringify!($type)),
                    )),
                }
            }
        }
    };
}

wire_enum!(ObjectKind, Table = 0, Bytes = 1);
wire_enum!(State, Draft = 0, Sealed = 1, Retired = 2);
wire_enum!(EventKind, Created = 0, Sealed = 1, Deleted = 2);

impl Wire for Holder {
    const TYPE: &'static str = "Holder";
    const LEAST_BYTES: usize = 4 + 4 + 4 + 8 + 1;
    fn put(&self, out: &mut Vec<u8>) {
        self.peer.pid.put(out);
        self.peer.uid.put(out);
        self.peer.command.put(out);
        self.holds.put(out);
        self.writer.put(out);
    }
    fn take(input: &mut Bytes) -> Result<Self> {
        let peer =
            Peer { pid: Wire::take(input)?, uid: Wire::take(input)?, command: Wire::take(input)? };
        Ok(Self { peer, holds: Wire::take(input)?, writer: Wire::take(input)? })
    }
}

impl Wire for Info {
    const TYPE: &'static str = "Info";
    const LEAST_BYTES: usize = 4 + 8 + 1 + 1 + 6 * 8 + 1 + 4 + 4;
    fn put(&self, out: &mut Vec<u8>) {
        self.name.put(out);
        self.id.put(out);
        self.kind.put(out);
        self.state.put(out);
        for number in [self.bytes, self.charged_bytes, self.rows, self.batches] {
            number.put(out);
        }
        self.created_ms.put(out);
        self.sealed_ms.put(out);
        self.droppable.put(out);
        put_bytes(&self.metadata, out);
        self.holders.put(out);
    }
    fn take(input: &mut Bytes) -> Result<Self> {
        Ok(Self {
            name: Wire::take(input)?,
            id: Wire::take(input)?,
            kind: Wire::take(input)?,
            state: Wire::take(input)?,
            bytes: Wire::take(input)?,
            charged_bytes: Wire::take(input)?,
            rows: Wire::take(input)?,
            batches: Wire::take(input)?,
            created_ms: Wire::take(input)?,
            sealed_ms: Wire::take(input)?,
            droppable: Wire::take(input)?,
            metadata: Bytes::take(input)?[..].into(),
            holders: Wire::take(input)?,
        })
    }
}

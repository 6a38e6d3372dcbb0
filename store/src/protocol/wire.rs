//! Values ⇄ bytes: little-endian, no padding, every length checked against what is there.
//!
//! ```text
//! u8 u16 u32 u64   as they are        bytes, text, name   u32 length, then the bytes
//! bool             u8, 0 or 1         list                u32 count, then the items
//! result           u8 0, then the value; or u8 kind (1 to 9), then a text
//! ```
//!
//! Decoding never panics and never reserves more than the input could fill.

use bytes::{Buf, Bytes};

use crate::error::{Error, Kind, Result};
use crate::object::Name;

/// A value that can be written to and read from the wire.
pub trait Wire: Sized {
    /// The type's name in `docs/protocol.md`.
    const TYPE: &'static str;
    /// The fewest bytes a value takes: what bounds the reservation for a list of them.
    const LEAST_BYTES: usize;
    /// Appends the value.
    fn put(&self, out: &mut Vec<u8>);
    /// Takes a value off the front.
    ///
    /// # Errors
    /// [`Kind::Invalid`] when the bytes end early or make no such value.
    fn take(input: &mut Bytes) -> Result<Self>;
}

fn cut_short(what: &str, needed: usize, left: usize) -> Error {
    Error::new(
        Kind::Invalid,
        format!("the message ends early: {what} needs {needed} bytes and {left} are left"),
    )
}

macro_rules! wire_integer {
    ($($type:ident $get:ident),*) => {$(
        impl Wire for $type {
            const TYPE: &'static str = stringify!($type);
            const LEAST_BYTES: usize = size_of::<$type>();
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
            fn take(input: &mut Bytes) -> Result<Self> {
                if input.len() < size_of::<$type>() {
                    return Err(cut_short(Self::TYPE, size_of::<$type>(), input.len()));
                }
                Ok(input.$get())
            }
        }
    )*};
}

wire_integer!(u8 get_u8, u16 get_u16_le, u32 get_u32_le, u64 get_u64_le);

impl Wire for bool {
    const TYPE: &'static str = "bool";
    const LEAST_BYTES: usize = 1;
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn take(input: &mut Bytes) -> Result<Self> {
        match u8::take(input)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Error::new(Kind::Invalid, format!("a bool is 0 or 1, not {other}"))),
        }
    }
}

impl Wire for Bytes {
    const TYPE: &'static str = "bytes";
    const LEAST_BYTES: usize = 4;
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(self, out);
    }
    fn take(input: &mut Bytes) -> Result<Self> {
        let length = u32::take(input)? as usize;
        if input.len() < length {
            return Err(cut_short("a run of bytes", length, input.len()));
        }
        Ok(input.split_to(length))
    }
}

/// Appends a length and the bytes, without owning them first.
pub fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    (bytes.len() as u32).put(out);
    out.extend_from_slice(bytes);
}

impl Wire for String {
    const TYPE: &'static str = "text";
    const LEAST_BYTES: usize = 4;
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(self.as_bytes(), out);
    }
    fn take(input: &mut Bytes) -> Result<Self> {
        Ok(String::from_utf8_lossy(&<Bytes as Wire>::take(input)?).into_owned())
    }
}

impl Wire for Name {
    const TYPE: &'static str = "name";
    const LEAST_BYTES: usize = 4;
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(self.as_bytes(), out);
    }
    fn take(input: &mut Bytes) -> Result<Self> {
        Self::new(<Bytes as Wire>::take(input)?)
    }
}

impl<T: Wire> Wire for Vec<T> {
    const TYPE: &'static str = "list";
    const LEAST_BYTES: usize = 4;
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u32).put(out);
        self.iter().for_each(|item| item.put(out));
    }
    fn take(input: &mut Bytes) -> Result<Self> {
        let count = u32::take(input)? as usize;
        let least = count.saturating_mul(T::LEAST_BYTES.max(1));
        if input.len() < least {
            return Err(cut_short("a list", least, input.len()));
        }
        (0..count).map(|_| T::take(input)).collect()
    }
}

impl<T: Wire> Wire for Result<T> {
    const TYPE: &'static str = "result";
    const LEAST_BYTES: usize = 1;
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Ok(value) => {
                out.push(0);
                value.put(out);
            }
            Err(error) => {
                out.push(error.kind().code());
                put_bytes(error.message().as_bytes(), out);
            }
        }
    }
    fn take(input: &mut Bytes) -> Result<Self> {
        match u8::take(input)? {
            0 => Ok(Ok(T::take(input)?)),
            code => Ok(Err(Error::new(Kind::from_code(code), String::take(input)?))),
        }
    }
}

impl Wire for [u8; 16] {
    const TYPE: &'static str = "16 bytes";
    const LEAST_BYTES: usize = 16;
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }
    fn take(input: &mut Bytes) -> Result<Self> {
        if input.len() < 16 {
            return Err(cut_short(Self::TYPE, 16, input.len()));
        }
        let mut value = [0; 16];
        input.copy_to_slice(&mut value);
        Ok(value)
    }
}

/// Declares a struct that is its fields on the wire, in order, and can list them for the page.
macro_rules! wire_struct {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }

        impl $name {
            /// The fields in wire order, each with its type, as the page gives them.
            pub const FIELDS: &'static [(&'static str, &'static str)] =
                &[$((stringify!($field), stringify!($type)),)*];
        }

        impl $crate::protocol::wire::Wire for $name {
            const TYPE: &'static str = stringify!($name);
            const LEAST_BYTES: usize =
                0 $(+ <$type as $crate::protocol::wire::Wire>::LEAST_BYTES)*;
            fn put(&self, out: &mut Vec<u8>) {
                let _ = &out;
                $($crate::protocol::wire::Wire::put(&self.$field, out);)*
            }
            fn take(input: &mut ::bytes::Bytes) -> $crate::error::Result<Self> {
                let _ = &input;
                Ok(Self { $($field: $crate::protocol::wire::Wire::take(input)?,)* })
            }
        }
    };
}
pub(crate) use wire_struct;

#[cfg(test)]
mod tests {
    use super::*;

    fn round<T: Wire + PartialEq + std::fmt::Debug>(value: T) {
        let mut out = Vec::new();
        value.put(&mut out);
        let mut input = Bytes::from(out);
        assert_eq!(T::take(&mut input).unwrap(), value);
        assert!(input.is_empty());
    }

    #[test]
    fn every_shape_survives_the_wire() {
        round(7u8);
        round(u64::MAX);
        round(true);
        round(Bytes::from_static(b"abc"));
        round("text".to_owned());
        round(Name::new("trades").unwrap());
        round(vec![1u32, 2, 3]);
        round(vec![Ok(5u64), Err(Error::new(Kind::Full, "no room"))]);
    }

    #[test]
    fn a_list_reserves_no_more_than_the_input_could_fill() {
        let mut input = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 1, 2, 3]);

        let error = Vec::<u64>::take(&mut input).unwrap_err();

        assert_eq!(error.kind(), Kind::Invalid);
    }
}

//! The header before each small object in a segment: what the object is, without asking anyone.
//!
//! ```text
//!  0          8       16         24     32        40           48          56
//!  │ SHEAFOBJ │ bytes │ lengths  │ rows │ batches │ created_ms │ sealed_ms │ charged_bytes │
//! ```
//!
//! `lengths` is the name's length (16 bits), the kind (8), then zeros. The name follows, padded
//! to 64 bytes, then the object's bytes.

use crate::object::{Info, Name, ObjectKind, State};

/// The header's size in bytes, without the name.
pub const HEADER_BYTES: usize = 64;

const MAGIC: u64 = u64::from_le_bytes(*b"SHEAFOBJ");

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The object's own bytes.
    pub bytes: u64,
    /// The length of its name.
    pub name_bytes: usize,
    /// What its bytes are.
    pub kind: ObjectKind,
    /// Rows of a table.
    pub rows: u64,
    /// Record batches of a table.
    pub batches: u64,
    /// When it was created, in milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// When it was sealed, in milliseconds since the Unix epoch.
    pub sealed_ms: u64,
    /// What it takes from the budget, in bytes.
    pub charged_bytes: u64,
}

impl Header {
    /// The header of the object that this info describes.
    #[must_use]
    pub fn of(info: &Info) -> Self {
        Self {
            bytes: info.bytes,
            name_bytes: info.name.as_bytes().len(),
            kind: info.kind,
            rows: info.rows,
            batches: info.batches,
            created_ms: info.created_ms,
            sealed_ms: info.sealed_ms,
            charged_bytes: info.charged_bytes,
        }
    }

    /// How far before the object's bytes its header begins, for a name of this length.
    #[must_use]
    pub fn reach(name_bytes: usize) -> u64 {
        (HEADER_BYTES + name_bytes.next_multiple_of(64)) as u64
    }

    /// The header and the padded name, as they lie before the object's bytes.
    #[must_use]
    pub fn encode(&self, name: &Name) -> Vec<u8> {
        let reach = Self::reach(self.name_bytes) as usize;
        let kind = u64::from(self.kind == ObjectKind::Bytes);
        let lengths = self.name_bytes as u64 | kind << 16;
        let words = [
            MAGIC,
            self.bytes,
            lengths,
            self.rows,
            self.batches,
            self.created_ms,
            self.sealed_ms,
            self.charged_bytes,
        ];
        let mut out = Vec::with_capacity(reach);
        words.iter().for_each(|word| out.extend_from_slice(&word.to_le_bytes()));
        out.extend_from_slice(name.as_bytes());
        out.resize(reach, 0);
        out
    }

    /// Reads a header; `None` when these bytes are none.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let word = |index: usize| {
            let bytes = bytes.get(index * 8..index * 8 + 8)?;
            Some(u64::from_le_bytes(bytes.try_into().ok()?))
        };
        let lengths = word(2)?;
        Some(Self {
            bytes: (word(0)? == MAGIC).then(|| word(1))??,
            name_bytes: (lengths & 0xffff) as usize,
            kind: if lengths >> 16 == 0 { ObjectKind::Table } else { ObjectKind::Bytes },
            rows: word(3)?,
            batches: word(4)?,
            created_ms: word(5)?,
            sealed_ms: word(6)?,
            charged_bytes: word(7)?,
        })
    }

    /// What is known of the object of this name with this header.
    #[must_use]
    pub fn info(&self, name: Name) -> Info {
        Info {
            name,
            id: 0,
            kind: self.kind,
            state: State::Sealed,
            bytes: self.bytes,
            charged_bytes: self.charged_bytes,
            rows: self.rows,
            batches: self.batches,
            created_ms: self.created_ms,
            sealed_ms: self.sealed_ms,
            droppable: false,
            metadata: [].into(),
            holders: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back_as_it_was() {
        let name = Name::new("trades").unwrap();
        let header = Header {
            bytes: 100,
            name_bytes: 6,
            kind: ObjectKind::Bytes,
            rows: 3,
            batches: 1,
            created_ms: 5,
            sealed_ms: 6,
            charged_bytes: 256,
        };

        let bytes = header.encode(&name);

        assert_eq!(bytes.len(), 128);
        assert_eq!(Header::decode(&bytes), Some(header));
        assert_eq!(&bytes[64..70], b"trades");
        assert_eq!(Header::decode(&bytes[..63]), None);
        assert_eq!(Header::decode(&[0; 64]), None);
    }
}

//! The first bytes of what should be Arrow data: whether they are, and of which kind.

use std::fs::File;
use std::io::{Read, Seek};

use crate::error::{Error, Result};

/// The start of every Arrow IPC file, padded to eight bytes; a stream follows.
const ARROW_MAGIC: &[u8] = b"ARROW1\0\0";

/// The most bytes that the first message of a stream, its schema, is believed to have.
const MOST_SCHEMA_BYTES: i32 = 1 << 24;

/// Whether a file is an Arrow IPC file; else it begins as a stream does. The file is rewound.
pub(super) fn is_arrow_file(file: &mut File) -> Result<bool> {
    let mut word = Vec::new();
    Read::by_ref(file).take(8).read_to_end(&mut word)?;
    file.rewind()?;
    if word.starts_with(&ARROW_MAGIC[..6]) {
        return Ok(true);
    }
    check_stream(&word)?;
    Ok(false)
}

/// The first bytes of the stream itself. An Arrow file is a stream between a magic word, padded
/// with zeros to 8 or to 64 bytes, and an index: so it can be read from a pipe, too.
pub(super) fn of_stream(input: &mut impl Read) -> Result<Vec<u8>> {
    const MOST_WORDS: usize = 8;
    let mut word = Vec::new();
    for index in 0..=MOST_WORDS {
        word.clear();
        input.by_ref().take(8).read_to_end(&mut word)?;
        let padding = index > 0 && word == [0; 8];
        let magic = index == 0 && word == ARROW_MAGIC;
        if !(padding || magic) {
            break;
        }
    }
    check_stream(&word)?;
    Ok(word)
}

/// Refuses what can't begin an Arrow stream, and says what was expected in its place.
fn check_stream(word: &[u8]) -> Result<()> {
    Err(Error::failed(match word {
        [] => "is empty: an Arrow IPC stream or file was expected",
        [0xff, 0xff, 0xff, 0xff, ..] => return Ok(()),
        // Until version 0.15 of Arrow the schema's length came first.
        [a, b, c, d, ..]
            if (1..MOST_SCHEMA_BYTES).contains(&i32::from_le_bytes([*a, *b, *c, *d])) =>
        {
            return Ok(());
        }
        [b'F', b'E', b'A', b'1', ..] => {
            "is a Feather file of version 1; write it again as version 2"
        }
        [b'P', b'A', b'R', b'1', ..] => {
            "is a Parquet file: put it by its name, with --format parquet if that does not tell it"
        }
        _ => {
            "is neither an Arrow IPC stream nor a file: --format csv or jsonl reads text, --bytes \
             puts anything as it is"
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_arrow_data_is_refused_with_what_was_expected() {
        for (start, expected) in [
            (&b""[..], "is empty: an Arrow IPC stream or file was expected"),
            (b"k,s\n1,a\n", "--format csv"),
            (b"x", "--format csv"),
            (b"\0\0\0\0\0\0\0\0", "--format csv"),
            (b"PAR1\x15\x04", "is a Parquet file"),
            (b"FEA1\0\0\0\0", "version 2"),
        ] {
            let error = of_stream(&mut &*start).unwrap_err().to_string();

            assert!(error.contains(expected), "{start:?}: {error}");
        }
    }

    #[test]
    fn streams_of_every_age_begin_well() {
        for start in [b"\xff\xff\xff\xff\x80\x01\0\0", b"\x80\x01\0\0\x10\0\0\0"] {
            assert_eq!(of_stream(&mut &start[..]).unwrap(), start);
        }
    }
}

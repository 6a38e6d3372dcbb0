//! Object names on the command line.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use sheaf_store::Name;

use crate::error::{Error, Result};

/// The name of one object.
#[derive(Debug, clap::Args)]
pub(crate) struct NameArg {
    /// The object's name.
    name: OsString,
    /// The name is written in hexadecimal, as `ls` shows what is no printable text.
    #[arg(long)]
    hex: bool,
}

impl NameArg {
    /// The name.
    pub(crate) fn get(&self) -> Result<Name> {
        parse(&self.name, self.hex)
    }
}

/// The name that was written, as it is or in hexadecimal with or without `0x`.
pub(crate) fn parse(text: &OsStr, hex: bool) -> Result<Name> {
    let name = if hex { Name::new(unhex(text)?) } else { Name::new(text.as_bytes()) };
    name.map_err(|error| Error::usage(error.to_string()))
}

fn unhex(text: &OsStr) -> Result<Vec<u8>> {
    let digits = text.as_bytes();
    let digits = digits.strip_prefix(b"0x").unwrap_or(digits);
    let digit = |byte: u8| (byte as char).to_digit(16).map(|value| value as u8);
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    digits.chunks(2).map(pair).collect::<Option<_>>().ok_or_else(|| {
        Error::usage(format!("{} is not an even number of hexadecimal digits", text.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_shown_in_hexadecimal_can_be_given_so() {
        let name = Name::new(b"\x00\xffid").unwrap();

        assert_eq!(parse(OsStr::new(&name.to_string()), true).unwrap(), name);
        assert_eq!(parse(OsStr::new("00FF6964"), true).unwrap(), name);
    }

    #[test]
    fn a_plain_name_that_looks_hexadecimal_is_plain() {
        assert_eq!(parse(OsStr::new("0x00ff"), false).unwrap().as_bytes(), b"0x00ff");
    }

    #[test]
    fn half_a_byte_is_misuse() {
        assert_eq!(parse(OsStr::new("0x123"), true).unwrap_err().status(), 2);
        assert_eq!(parse(OsStr::new("zz"), true).unwrap_err().status(), 2);
        assert_eq!(parse(OsStr::new(""), false).unwrap_err().status(), 2);
    }
}

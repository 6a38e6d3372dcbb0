//! `sheaf rm`: names that are no longer bound.

use std::ffi::OsString;

use crate::args::Global;
use crate::error::{Error, Result};
use crate::names;

/// Delete objects. Those who hold one keep it until they let go.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  sheaf rm trades
  sheaf ls --json tmp/ | jq -r '.[].name_hex' | xargs sheaf rm --hex")]
pub(crate) struct Rm {
    /// The objects' names.
    #[arg(required = true, value_name = "NAME")]
    names: Vec<OsString>,
    /// The names are written in hexadecimal.
    #[arg(long)]
    hex: bool,
}

impl Rm {
    pub(crate) fn run(&self, global: &Global) -> Result<()> {
        let names = self.names.iter().map(|name| names::parse(name, self.hex));
        let names = names.collect::<Result<Vec<_>>>()?;
        let client = global.connect()?;
        let mut failed = false;
        for name in names {
            // One that is missing does not save the others.
            if let Err(error) = client.delete(name.as_bytes()) {
                Error::from(error).report();
                failed = true;
            }
        }
        if failed { Err(Error::Told) } else { Ok(()) }
    }
}

//! `sheaf token`: makes a token for the Flight endpoint.

use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use sheaf_flight::{NewToken, Right};

use crate::error::{Error, Result};
use crate::term::Out;

/// Make a token for clients of Arrow Flight.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
The token goes to stdout, once: nobody can find it out again. What goes into the file is a line with
its SHA-256, NAME:read:… or NAME:write:…, which a running store reads with the next call. To take a
token back, delete its line.

Clients send it as `authorization: Bearer TOKEN`, or as the password of any user.

Examples:
  sheaf token dashboard --file tokens               one that may read
  sheaf token ingest --write --file tokens          one that may write, too
  sheaf serve --flight 0.0.0.0:8815 --token-file tokens --tls-cert lab.crt --tls-key lab.key")]
pub(crate) struct Token {
    /// Whose it is, for the log.
    name: String,
    /// Let its holder put and delete, too.
    #[arg(long)]
    write: bool,
    /// The file that its line is added to, made with mode 0600 [default: the line goes to stderr].
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

impl Token {
    pub(crate) fn run(&self, out: &mut Out) -> Result<()> {
        let right = if self.write { Right::Write } else { Right::Read };
        let token = NewToken::new(&self.name, right)?;
        match &self.file {
            Some(path) => append(path, &token.line).map_err(Error::of(path))?,
            None => eprintln!("{}", token.line),
        }
        writeln!(out, "{}", token.secret)?;
        Ok(())
    }
}

/// Adds a line to the file, in one write.
fn append(path: &Path, line: &str) -> Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.create(true).read(true).append(true).mode(0o600).open(path)?;
    let mut last = [b'\n'];
    if file.metadata()?.len() > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    let before = if last == [b'\n'] { "" } else { "\n" };
    Ok(file.write_all(format!("{before}{line}\n").as_bytes())?)
}

//! `sheaf get`: an object becomes a file, a stream, or something to look at.

use std::io::Write;
use std::time::Duration;

use sheaf_store::{Object, ObjectKind};

use crate::args::Global;
use crate::error::{Error, Result};
use crate::format::{Format, Target};
use crate::names::NameArg;
use crate::output::Output;
use crate::term::{Out, stdout_is_terminal};
use crate::units::{human_bytes, parse_duration};

/// Get an object: a preview on the terminal, an Arrow stream into a pipe, or a file.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Formats: parquet, csv (.tsv too), arrow (.feather too), arrows, jsonl; told by the file's name, or
by --format. An object that was put with --bytes is written as it is, to a pipe or to a file whose
name tells none of the formats.

Examples:
  sheaf get trades                                  look at it
  sheaf get trades -o trades.parquet
  sheaf get trades --format csv | head
  sheaf get trades | ssh far sheaf put trades -     an Arrow stream
  sheaf get later --timeout 10s -o later.arrow      wait for it
  sheaf get model -o weights.bin                    bytes as they are")]
pub(crate) struct Get {
    #[command(flatten)]
    name: NameArg,
    /// Wait this long for the object to come.
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    timeout: Option<Duration>,
    #[command(flatten)]
    output: Output,
}

impl Get {
    pub(crate) fn run(&self, global: &Global, out: &mut Out) -> Result<()> {
        let name = self.name.get()?;
        let client = global.connect()?;
        let object = match self.timeout {
            Some(timeout) => client.get_timeout(name.as_bytes(), timeout)?,
            None => client.get(name.as_bytes())?,
        };
        if object.info().kind == ObjectKind::Bytes {
            return self.bytes(&object, out);
        }
        self.output.write(&object.table()?, &name.to_string(), None, out)
    }

    fn bytes(&self, object: &Object, out: &mut Out) -> Result<()> {
        let name = &object.info().name;
        if let Some(format) = self.output.format {
            return Err(Error::usage(format!(
                "object {name} is bytes, not a table, and can't be {format}: leave --format out"
            )));
        }
        let Some(path) = self.output.file() else {
            if stdout_is_terminal() {
                let size = human_bytes(object.info().bytes);
                return Err(Error::failed(format!(
                    "object {name} is bytes ({size}), not a table: give -o FILE, or pipe it on"
                )));
            }
            return Ok(out.write_all(object.as_bytes())?);
        };
        if let Ok(format) = Format::of(path) {
            let path = path.display();
            return Err(Error::usage(format!(
                "object {name} is bytes, not a table, so {path} would be no {format}: give another \
                 name, such as {name}.bin, or `> {path}`"
            )));
        }
        let mut target = Target::create(path)?;
        target.write_all(object.as_bytes()).map_err(|error| Error::of(path)(error.into()))?;
        target.finish()?;
        let size = human_bytes(object.info().bytes);
        eprintln!("sheaf: wrote {name} to {}: {size}", path.display());
        Ok(())
    }
}

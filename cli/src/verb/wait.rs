//! `sheaf wait`: until an object is there.

use std::io::Write;
use std::time::{Duration, Instant};

use crate::args::Global;
use crate::error::Result;
use crate::names::NameArg;
use crate::term::Out;
use crate::units::{human_time, parse_duration};

/// Wait until an object is sealed, and say what came.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit status 1 when the time is over, or when the writer that was waited for died.

Examples:
  sheaf wait later --timeout 5s
  sheaf wait results && sheaf get results -o results.parquet")]
pub(crate) struct Wait {
    #[command(flatten)]
    name: NameArg,
    /// How long to wait [default: for ever].
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    timeout: Option<Duration>,
}

impl Wait {
    pub(crate) fn run(&self, global: &Global, out: &mut Out) -> Result<()> {
        let name = self.name.get()?;
        let client = global.connect()?;
        let start = Instant::now();
        let info = client.wait(name.as_bytes(), self.timeout.unwrap_or(Duration::MAX))?;
        let described = super::put::described(&info);
        writeln!(out, "{described} (waited {})", human_time(start.elapsed()))?;
        Ok(())
    }
}

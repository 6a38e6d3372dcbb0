//! `sheaf doctor`: is this machine set up for a store, and if not, the command that mends it.

mod check;
mod kernel;
mod limits;
mod socket;

use std::io::Write;

use comfy_table::{Attribute, Cell, Color};
use serde_json::json;

use self::check::{Check, State};
use crate::args::Global;
use crate::error::{Error, Result};
use crate::term::{Out, plain_table};
use crate::units::parse_bytes;

/// Check the kernel, the limits and the socket, and print the fix for what is wrong.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit status 1 when a check failed; a warning costs speed or comfort, not function.

JSON: ok, and checks: each with name, state (ok, warn, fail), found, fix (null when there is
nothing to do).

Examples:
  sheaf doctor
  sheaf doctor --memory 16GiB        would a store of this size fit?
  sheaf doctor --json | jq -r '.checks[] | select(.fix) | .fix'")]
pub(crate) struct Doctor {
    /// The store's planned size [default: that of `sheaf serve`].
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    memory: Option<u64>,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub(crate) fn run(&self, global: &Global, out: &mut Out) -> Result<()> {
        let mut checks = kernel::checks();
        checks.extend(limits::checks(self.memory));
        checks.extend(socket::checks(&global.near_url()?, self.memory));
        let failed = checks.iter().filter(|check| check.state == State::Fail).count();
        if self.json {
            let list: Vec<_> = checks.iter().map(Check::json).collect();
            writeln!(out, "{:#}", json!({ "ok": failed == 0, "checks": list }))?;
        } else {
            report(&checks, out)?;
        }
        if failed == 0 { Ok(()) } else { Err(Error::Told) }
    }
}

fn report(checks: &[Check], out: &mut Out) -> Result<()> {
    let mut table = plain_table();
    table.load_style(comfy_table::presets::NOTHING);
    table.add_rows(checks.iter().map(|check| {
        let (word, colour) = match check.state {
            State::Ok => ("ok", Color::Green),
            State::Warn => ("warn", Color::Yellow),
            State::Fail => ("FAIL", Color::Red),
        };
        let word = Cell::new(word).fg(colour).add_attribute(Attribute::Bold);
        [word, Cell::new(check.name), Cell::new(&check.found)]
    }));
    table.column_iter_mut().for_each(|column| {
        column.set_padding((0, 2));
    });
    writeln!(out, "{}", table.trim_fmt())?;

    let fixes = checks.iter().filter_map(|check| Some((check.name, check.fix.as_ref()?)));
    for (name, fix) in fixes {
        // Below the table and on lines of their own: commands are there to be copied.
        writeln!(out, "\n{name}:")?;
        fix.lines().try_for_each(|line| writeln!(out, "    {line}"))?;
    }
    let count = |state| checks.iter().filter(|check| check.state == state).count();
    match (count(State::Fail), count(State::Warn)) {
        (0, 0) => writeln!(out, "\nall is well")?,
        (0, warned) => writeln!(out, "\nfit to serve; {warned} could be better")?,
        (failed, _) => writeln!(out, "\n{failed} of {} checks failed", checks.len())?,
    }
    Ok(())
}

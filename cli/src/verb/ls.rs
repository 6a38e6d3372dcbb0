//! `sheaf ls`: what is in the store.

use std::ffi::OsString;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use sheaf_store::{Holder, Info, ObjectKind, State};

use crate::args::Global;
use crate::error::Result;
use crate::json;
use crate::term::{Out, list, printable};
use crate::units::{age_of, counted, human_age, human_bytes};

/// List objects: rows, bytes, age, and who holds them.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("\
{}

Examples:
  sheaf ls
  sheaf ls train/ --holders
  sheaf ls --json | jq '.[] | select(.bytes > 1e9) | .name'", json::OBJECT_HELP))]
pub(crate) struct Ls {
    /// Only names that start with this.
    #[arg(default_value = "", hide_default_value = true)]
    prefix: OsString,
    /// With the processes that hold or write each object, and with retired objects: deleted or
    /// replaced, and still held.
    #[arg(long)]
    holders: bool,
    /// As a JSON array.
    #[arg(long)]
    json: bool,
}

impl Ls {
    pub(crate) fn run(&self, global: &Global, out: &mut Out) -> Result<()> {
        let infos = global.connect()?.list(self.prefix.as_bytes(), self.holders)?;
        if self.json {
            let objects = infos.iter().map(|info| json::object(info, self.holders));
            writeln!(out, "{:#}", serde_json::Value::from_iter(objects))?;
            return Ok(());
        }
        if infos.is_empty() {
            // Nothing to read for a program in the pipe; people are told.
            eprintln!("sheaf: no objects");
            return Ok(());
        }
        let mut titles = vec!["NAME", "KIND", ">ROWS", ">BYTES", ">AGE", "STATE"];
        if self.holders {
            titles.push("HELD BY");
        }
        let rows = infos.iter().map(|info| row(info, self.holders));
        writeln!(out, "{}", list(&titles, rows).trim_fmt())?;
        if crate::term::stdout_is_terminal() {
            let bytes = infos.iter().map(|info| info.bytes).sum();
            let objects = counted(infos.len() as u64, "object");
            writeln!(out, "{objects}, {}", human_bytes(bytes))?;
        }
        Ok(())
    }
}

fn row(info: &Info, holders: bool) -> Vec<String> {
    let rows = match (info.kind, info.state) {
        (ObjectKind::Table, State::Sealed | State::Retired) => info.rows.to_string(),
        _ => "-".into(),
    };
    let state = match info.state {
        State::Sealed if info.droppable => "droppable".into(),
        other => other.to_string(),
    };
    let mut cells = vec![
        info.name.to_string(),
        info.kind.to_string(),
        rows,
        human_bytes(info.bytes),
        human_age(age_of(info.created_ms)),
        state,
    ];
    if holders {
        let held: Vec<_> = info.holders.iter().map(held_by).collect();
        cells.push(if held.is_empty() { "-".into() } else { held.join("\n") });
    }
    cells
}

/// `4711 python train.py (2)`.
pub(super) fn held_by(holder: &Holder) -> String {
    let command = printable(&holder.peer.command);
    let role = match (holder.writer, holder.holds) {
        (true, _) => " (writes it)".into(),
        (false, 0 | 1) => String::new(),
        (false, times) => format!(" ({times} times)"),
    };
    format!("{} {command}{role}", holder.peer.pid)
}

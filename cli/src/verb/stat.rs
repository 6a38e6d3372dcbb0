//! `sheaf stat`: the store's counters and gauges.

use std::io::Write;

use serde_json::{Map, json};

use crate::args::Global;
use crate::error::Result;
use crate::term::{Out, list};
use crate::units::human_bytes;

/// Print the store's counters: memory, objects, clients, and what was done so far.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
JSON: store_pid, version, store_id, socket, and counters, an object of numbers; sizes end in _bytes.

Examples:
  sheaf stat
  sheaf stat --json | jq .counters.sealed_bytes")]
pub(crate) struct Stat {
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Stat {
    pub(crate) fn run(&self, global: &Global, out: &mut Out) -> Result<()> {
        let stat = global.connect()?.stat()?;
        if self.json {
            let counters: Map<_, _> =
                stat.fields().map(|(name, value)| (name.to_string(), json!(value))).collect();
            let value = json!({
                "store_pid": stat.store_pid,
                "version": stat.version,
                "store_id": stat.store_id,
                "socket": stat.socket,
                "counters": counters,
            });
            writeln!(out, "{value:#}")?;
            return Ok(());
        }
        let about = format!("sheaf {}, pid {}, at {}", stat.version, stat.store_pid, stat.socket);
        let rows = stat.fields().map(|(name, value)| {
            let size = name.ends_with("_bytes");
            vec![name.to_owned(), if size { human_bytes(value) } else { value.to_string() }]
        });
        writeln!(out, "{about}\n\n{}", list(&["COUNTER", ">VALUE"], rows).trim_fmt())?;
        Ok(())
    }
}

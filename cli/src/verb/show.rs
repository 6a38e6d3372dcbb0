//! `sheaf show`: all that is known of one object.

use std::io::Write;

use arrow_array::{Array, RecordBatch};
use sheaf_store::{Info, ObjectKind, State, Table};

use super::ls::held_by;
use crate::args::Global;
use crate::error::Result;
use crate::json;
use crate::names::NameArg;
use crate::term::{Out, list, printable};
use crate::types::type_name;
use crate::units::{age_of, counted, human_age, human_bytes};

/// Show one object: its size, age, holders, and each column's type, nulls and bytes.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("\
{}

Examples:
  sheaf show trades
  sheaf show --hex 0x00ff12", json::OBJECT_HELP))]
pub(crate) struct Show {
    #[command(flatten)]
    name: NameArg,
    /// As JSON, without the columns (`sheaf schema --json` has them).
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(crate) fn run(&self, global: &Global, out: &mut Out) -> Result<()> {
        let name = self.name.get()?;
        let client = global.connect()?;
        let info = client.info(name.as_bytes(), true)?;
        if self.json {
            writeln!(out, "{:#}", json::object(&info, true))?;
            return Ok(());
        }
        writeln!(out, "{}", list(&["", ""], facts(&info)).trim_fmt())?;
        if info.kind == ObjectKind::Table && info.state == State::Sealed {
            let object = client.get(name.as_bytes())?;
            let columns = columns(&object.table()?)?;
            let titles = ["COLUMN", "TYPE", ">NULLS", ">BYTES"];
            writeln!(out, "\n{}", list(&titles, columns).trim_fmt())?;
        }
        Ok(())
    }
}

fn facts(info: &Info) -> Vec<Vec<String>> {
    let state = if info.droppable { "may be dropped for room" } else { "kept until deleted" };
    let mut facts = vec![("name", info.name.to_string()), ("kind", info.kind.to_string())];
    match info.state {
        State::Sealed => facts.push(("state", format!("sealed, {state}"))),
        State::Draft => facts.push(("state", "draft: being written".into())),
        State::Retired => facts.push(("state", "retired: deleted, and still held".into())),
    }
    if info.kind == ObjectKind::Table && info.state != State::Draft {
        let batches = counted(info.batches, "batch");
        facts.push(("rows", format!("{} in {batches}", info.rows)));
    }
    let charged = human_bytes(info.charged_bytes);
    let exact = if info.bytes < 1024 { String::new() } else { format!(" ({})", info.bytes) };
    facts.push(("bytes", format!("{}{exact}, takes {charged}", human_bytes(info.bytes))));
    facts.push(("age", human_age(age_of(info.created_ms))));
    if !info.metadata.is_empty() {
        facts.push(("metadata", human_bytes(info.metadata.len() as u64)));
    }
    let holders: Vec<_> = info.holders.iter().map(held_by).collect();
    facts.push(("held by", if holders.is_empty() { "nobody".into() } else { holders.join("\n") }));
    facts.into_iter().map(|(title, fact)| vec![title.to_owned(), fact]).collect()
}

/// Name, type, nulls and bytes of each column. Nothing of the data is read but dictionaries.
fn columns(table: &Table) -> Result<Vec<Vec<String>>> {
    let batches = table.batches().collect::<Result<Vec<RecordBatch>, _>>()?;
    let fields = table.schema().fields().iter().enumerate();
    fields
        .map(|(index, field)| {
            let arrays = batches.iter().map(|batch| batch.column(index));
            let nulls: usize = arrays.clone().map(|array| array.logical_null_count()).sum();
            // The slice's: a mapped array's buffers all belong to one allocation, the object.
            let bytes = arrays.map(|array| array.to_data().get_slice_memory_size());
            let bytes: usize = bytes.sum::<Result<_, _>>()?;
            Ok(vec![
                printable(field.name()).into_owned(),
                type_name(field.data_type()),
                if field.is_nullable() { nulls.to_string() } else { "-".into() },
                human_bytes(bytes as u64),
            ])
        })
        .collect()
}

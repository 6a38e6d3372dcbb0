//! `sheaf schema`: a table's columns and their types, and nothing else.

use std::collections::BTreeMap;
use std::io::Write;

use arrow_schema::Field;
use serde_json::{Value, json};

use crate::args::Global;
use crate::error::Result;
use crate::names::NameArg;
use crate::term::{Out, printable};
use crate::types::type_name;

/// Print a table's schema: one column a line, its name and its type.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
JSON: fields (each with name, type, nullable, metadata) and metadata.

Examples:
  sheaf schema trades
  sheaf schema trades --json | jq -r '.fields[].name'")]
pub(crate) struct Schema {
    #[command(flatten)]
    name: NameArg,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

impl Schema {
    pub(crate) fn run(&self, global: &Global, out: &mut Out) -> Result<()> {
        let object = global.connect()?.get(self.name.get()?.as_bytes())?;
        let table = object.table()?;
        let schema = table.schema();
        if self.json {
            let fields: Vec<_> = schema.fields().iter().map(|field| field_json(field)).collect();
            // Sorted: what a program compares must not change between two calls.
            let metadata: BTreeMap<_, _> = schema.metadata().iter().collect();
            writeln!(out, "{:#}", json!({ "fields": fields, "metadata": metadata }))?;
            return Ok(());
        }
        for field in schema.fields() {
            let name = printable(field.name());
            let not_null = if field.is_nullable() { "" } else { " not null" };
            writeln!(out, "{name}: {}{not_null}", type_name(field.data_type()))?;
        }
        Ok(())
    }
}

fn field_json(field: &Field) -> Value {
    let metadata: BTreeMap<_, _> = field.metadata().iter().collect();
    json!({
        "name": field.name(),
        "type": type_name(field.data_type()),
        "nullable": field.is_nullable(),
        "metadata": metadata,
    })
}

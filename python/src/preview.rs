//! The first rows of a table as HTML, for notebooks.

use std::fmt::Write as _;

use arrow_array::RecordBatch;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use sheaf_store::{Error, Table};

use crate::dtype;
use crate::errors::invalid;

/// The most rows that a preview shows, and the most columns.
const ROWS: usize = 10;
const COLUMNS: usize = 30;

/// The longest text of a cell, in characters.
const CELL: usize = 80;

/// A table's first rows.
///
/// # Errors
/// Those of reading its batches.
pub(crate) fn html(table: &Table, title: &str) -> Result<String, Error> {
    let mut out = format!("<div><p>{}</p><table><thead><tr>", escaped(title));
    for field in table.schema().fields().iter().take(COLUMNS) {
        out += &format!(
            "<th>{}<br><small>{}</small></th>",
            escaped(field.name()),
            escaped(&dtype::name(field.data_type()))
        );
    }
    let more = table.schema().fields().len() > COLUMNS;
    if more {
        out += "<th>…</th>";
    }
    out += "</tr></thead><tbody>";
    let mut left = ROWS;
    for batch in table.batches() {
        if left == 0 {
            break;
        }
        let batch = batch?;
        let shown = batch.num_rows().min(left);
        rows(&batch.slice(0, shown), more, &mut out)?;
        left -= shown;
    }
    out += "</tbody></table>";
    if table.num_rows() > ROWS as u64 {
        out += &format!("<p>{} more rows</p>", table.num_rows() - ROWS as u64);
    }
    Ok(out + "</div>")
}

fn rows(batch: &RecordBatch, more: bool, out: &mut String) -> Result<(), Error> {
    let options = FormatOptions::default().with_null("null").with_display_error(true);
    let cells: Vec<_> = batch
        .columns()
        .iter()
        .take(COLUMNS)
        .map(|column| ArrayFormatter::try_new(column.as_ref(), &options))
        .collect::<Result<_, _>>()
        .map_err(|error| invalid(error.to_string()))?;
    for row in 0..batch.num_rows() {
        *out += "<tr>";
        for cell in &cells {
            *out += &format!("<td>{}</td>", escaped(&Beginning::of(&cell.value(row))));
        }
        *out += if more { "<td>…</td></tr>" } else { "</tr>" };
    }
    Ok(())
}

/// The beginning of a text, which may be long: what is not shown is not made either.
struct Beginning {
    text: String,
    room: usize,
}

impl Beginning {
    fn of(value: &impl std::fmt::Display) -> String {
        let mut begun = Self { text: String::new(), room: CELL };
        match write!(begun, "{value}") {
            Ok(()) => begun.text,
            Err(_) => begun.text + "…",
        }
    }
}

impl std::fmt::Write for Beginning {
    fn write_str(&mut self, more: &str) -> std::fmt::Result {
        match more.char_indices().nth(self.room) {
            Some((end, _)) => {
                self.text += &more[..end];
                self.room = 0;
                Err(std::fmt::Error) // Enough.
            }
            None => {
                self.text += more;
                self.room -= more.chars().count();
                Ok(())
            }
        }
    }
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\'' => safe += "&#x27;",
            other => safe.push(other),
        }
    }
    safe
}

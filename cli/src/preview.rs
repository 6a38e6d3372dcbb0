//! A table on the terminal: its first and last rows, as many columns as fit.

use std::fmt::Write as _;

use arrow_array::RecordBatch;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{ArrowError, DataType, Schema};
use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, LineStyle, TableStyle};

use crate::term::{plain_table, printable};
use crate::types::type_name;

/// The longest text of one cell, in characters.
const CELL_CHARS: usize = 32;

/// What null looks like: unlike any text a column is likely to hold, and no wider than needed.
const NULL: &str = "∅";

const STYLE: TableStyle = comfy_table::presets::UTF8_FULL_CONDENSED
    .header_separator(LineStyle::new('├', '─', '┼', '┤'))
    .header_lines(comfy_table::ContentLineStyle::new('│', '│', '│'))
    .content_lines(comfy_table::ContentLineStyle::new('│', '│', '│'));

/// The shown part of a table, as text.
struct Shown {
    /// For each column: its name and its type.
    titles: Vec<(String, String)>,
    /// For each column: whether numbers stand in it.
    numeric: Vec<bool>,
    /// For each row: its cells, `None` for null.
    rows: Vec<Vec<Option<String>>>,
    /// Where rows were left out: before this one.
    gap: Option<usize>,
}

/// Renders the first and the last `ends` rows, within `width` characters or the terminal's.
///
/// # Errors
/// When a value can't be shown, for its type is unknown to the formatter.
pub(crate) fn render(
    schema: &Schema,
    batches: &[RecordBatch],
    ends: usize,
    width: Option<u16>,
) -> Result<String, ArrowError> {
    let shown = Shown::of(schema, batches, ends)?;
    let columns = schema.fields().len();
    let width = width.or_else(|| plain_table().width());
    let fitting = width.map_or(columns, |width| shown.fitting(usize::from(width)));
    let mut text = shown.table(fitting);
    if fitting < columns {
        let hidden = &shown.titles[fitting..];
        let names: Vec<_> = hidden.iter().map(|(name, _)| name.as_str()).collect();
        let names = shorten(
            &names.join(", "),
            width.map_or(80, |width| usize::from(width).saturating_sub(24).max(20)),
        );
        let _ = write!(text, "\n{} more columns: {names}", hidden.len());
    }
    Ok(text)
}

impl Shown {
    fn of(schema: &Schema, batches: &[RecordBatch], ends: usize) -> Result<Self, ArrowError> {
        let fields = schema.fields().iter();
        let titles = fields.clone().map(|field| {
            let name = shorten(&printable(field.name()), CELL_CHARS);
            (name, shorten(&type_name(field.data_type()), CELL_CHARS))
        });
        let numeric = fields.map(|field| is_number(field.data_type())).collect();
        let (parts, gap) = first_and_last(batches, ends);
        let mut rows = Vec::new();
        for part in &parts {
            rows.extend(cells(part)?);
        }
        Ok(Self { titles: titles.collect(), numeric, rows, gap })
    }

    /// How many columns, from the left, stand within the width; at least one.
    fn fitting(&self, width: usize) -> usize {
        // A border and a space on either side of each column, and one border more.
        const FRAME: usize = 3;
        let widths = self.build(self.titles.len()).column_max_content_widths();
        let all: usize = widths.iter().map(|&width| usize::from(width) + FRAME).sum();
        if all < width {
            return widths.len();
        }
        let mut taken = 1 + FRAME + 1; // The last border and the column "…".
        let fits = widths.iter().take_while(|&&column| {
            taken += usize::from(column) + FRAME;
            taken <= width
        });
        fits.count().max(1)
    }

    fn table(&self, columns: usize) -> String {
        self.build(columns).to_string()
    }

    fn build(&self, columns: usize) -> comfy_table::Table {
        let cut = columns < self.titles.len();
        let more = |text: &str| cut.then(|| Cell::new(text).add_attribute(Attribute::Dim));
        let mut table = plain_table();
        // The columns were chosen to fit: nothing is to be wrapped.
        table.load_style(STYLE).set_content_arrangement(ContentArrangement::Disabled);
        let titles = self.titles[..columns].iter();
        table.set_header(
            titles.map(|(name, kind)| Cell::new(format!("{name}\n{kind}"))).chain(more("…")),
        );
        for (index, row) in self.rows.iter().enumerate() {
            if self.gap == Some(index) {
                let dots = (0..columns).map(|_| Cell::new("⋮").add_attribute(Attribute::Dim));
                table.add_row(dots.chain(more("")));
            }
            let cells = row[..columns].iter().map(|cell| match cell {
                Some(text) => Cell::new(text),
                None => Cell::new(NULL).add_attribute(Attribute::Dim),
            });
            table.add_row(cells.chain(more("…")));
        }
        for (column, _) in table.column_iter_mut().zip(&self.numeric).filter(|(_, number)| **number)
        {
            column.set_cell_alignment(CellAlignment::Right);
        }
        table
    }
}

/// The batches' first and last rows, and after how many rows something was left out.
fn first_and_last(batches: &[RecordBatch], ends: usize) -> (Vec<RecordBatch>, Option<usize>) {
    let total: usize = batches.iter().map(RecordBatch::num_rows).sum();
    if total <= 2 * ends {
        return (batches.to_vec(), None);
    }
    let mut first = Vec::new();
    let mut left = ends;
    for batch in batches {
        let count = left.min(batch.num_rows());
        first.push(batch.slice(0, count));
        left -= count;
    }
    let mut last = Vec::new();
    left = ends;
    for batch in batches.iter().rev() {
        let count = left.min(batch.num_rows());
        last.push(batch.slice(batch.num_rows() - count, count));
        left -= count;
    }
    first.extend(last.into_iter().rev());
    first.retain(|batch| batch.num_rows() > 0);
    (first, Some(ends))
}

fn cells(batch: &RecordBatch) -> Result<Vec<Vec<Option<String>>>, ArrowError> {
    let options = FormatOptions::default().with_null(NULL);
    let columns = batch.columns().iter();
    let formats = columns.map(|column| ArrayFormatter::try_new(column, &options));
    let formats = formats.collect::<Result<Vec<_>, _>>()?;
    let cell = |(column, format): (usize, &ArrayFormatter<'_>), row| {
        // Logically: a dictionary's null may lie among its values.
        if batch.column(column).is_null(row) {
            return Ok(None);
        }
        let text = format.value(row).try_to_string()?;
        Ok(Some(shorten(&printable(&text), CELL_CHARS)))
    };
    (0..batch.num_rows())
        .map(|row| formats.iter().enumerate().map(|format| cell(format, row)).collect())
        .collect()
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

/// At most so many characters, the last of them `…` if some were left out.
fn shorten(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        None => text.to_owned(),
        Some(_) => text.chars().take(chars.saturating_sub(1)).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    fn batch(from: i64, to: i64) -> RecordBatch {
        let numbers: Int64Array = (from..to).map(|n| (n % 3 != 0).then_some(n)).collect();
        let texts: StringArray = (from..to).map(|n| Some(format!("row\n{n}"))).collect();
        RecordBatch::try_from_iter_with_nullable([
            ("n", Arc::new(numbers) as ArrayRef, true),
            ("text", Arc::new(texts), true),
        ])
        .unwrap()
    }

    #[test]
    fn the_first_and_the_last_rows_are_shown() {
        let batches = [batch(0, 3), batch(3, 50), batch(50, 52)];

        let text = render(&batches[0].schema(), &batches, 4, Some(80)).unwrap();

        let shown: Vec<i64> = (0..52).filter(|n| text.contains(&format!("row\\n{n} "))).collect();
        assert_eq!(shown, [0, 1, 2, 3, 48, 49, 50, 51], "{text}");
        assert_eq!(text.matches('⋮').count(), 2, "{text}");
    }

    #[test]
    fn null_is_told_from_text_and_types_stand_under_names() {
        let text = render(&batch(0, 2).schema(), &[batch(0, 2)], 4, Some(80)).unwrap();

        assert_eq!(text.matches(NULL).count(), 1, "{text}");
        assert!(text.lines().nth(2).unwrap().contains("int64"), "{text}");
        assert!(!text.contains('⋮'), "{text}");
    }

    #[test]
    fn columns_that_do_not_fit_are_named_below() {
        let wide: Vec<(String, ArrayRef)> = (0..40)
            .map(|i| (format!("column{i}"), Arc::new(Int64Array::from(vec![i])) as ArrayRef))
            .collect();
        let wide = RecordBatch::try_from_iter(wide).unwrap();

        let text = render(&wide.schema(), std::slice::from_ref(&wide), 4, Some(60)).unwrap();

        assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
        assert!(text.contains("more columns: column5,"), "{text}");
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(shorten("äöü", 3), "äöü");
        assert_eq!(shorten("äöüß", 3), "äö…");
    }
}

//! The terminal: who reads our output, how wide it is, and what may be written there.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;

use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Table};

/// Standard output: buffered, and not line by line, for Arrow streams go there too.
pub(crate) type Out = BufWriter<Pipe>;

/// Standard output as a file. When its reader has gone, the program ends, quietly: `sheaf get t |
/// head` is no error.
#[derive(Debug)]
pub(crate) struct Pipe(io::Result<File>);

/// Standard output.
pub(crate) fn stdout() -> Out {
    // The descriptor is duplicated so that Rust's own line buffer stays out of the way.
    let file = io::stdout().as_fd().try_clone_to_owned().map(File::from);
    BufWriter::with_capacity(64 << 10, Pipe(file))
}

impl Pipe {
    fn with<T>(&mut self, act: impl FnOnce(&mut File) -> io::Result<T>) -> io::Result<T> {
        let file = self.0.as_mut().map_err(|error| io::Error::from(error.kind()))?;
        let result = act(file);
        if result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            std::process::exit(0);
        }
        result
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.with(|file| file.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.with(|file| file.flush())
    }
}

/// True when people read what we print.
pub(crate) fn stdout_is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// True when stderr takes colours.
pub(crate) fn stderr_has_colours() -> bool {
    io::stderr().is_terminal() && !no_colour()
}

/// The user's wish, as <https://no-color.org> has it.
fn no_colour() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// A table without a style, as wide as the terminal at most; unlimited in a pipe.
pub(crate) fn plain_table() -> Table {
    let mut table = Table::new();
    table.set_content_arrangement(ContentArrangement::Dynamic);
    if no_colour() {
        let width = table.width();
        table.force_no_tty();
        width.map(|width| table.set_width(width));
    }
    table
}

/// A list for people: no lines, bold titles. A title that starts with `>` aligns right.
pub(crate) fn list(titles: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Table {
    let mut table = plain_table();
    table.load_style(comfy_table::presets::NOTHING);
    let bare: Vec<_> = titles.iter().map(|title| title.trim_start_matches('>')).collect();
    // A header of nothing would still be a line.
    if bare.iter().any(|title| !title.is_empty()) {
        table.set_header(bare.iter().map(|title| Cell::new(title).add_attribute(Attribute::Bold)));
    }
    table.add_rows(rows);
    for (column, title) in table.column_iter_mut().zip(titles) {
        column.set_padding((0, 2));
        if title.starts_with('>') {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Text that can't move the cursor, change colours or break lines: data is not to be trusted with
/// the user's terminal.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    // Besides the control characters: what changes the direction of what follows.
    let harmful =
        |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if !text.contains(harmful) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if harmful(c) { clean.extend(c.escape_default()) } else { clean.push(c) }
    }
    Cow::Owned(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_cannot_command_the_terminal() {
        assert_eq!(printable("Zoë"), "Zoë");
        assert_eq!(printable("a\x1b[2Jb\n"), "a\\u{1b}[2Jb\\n");
        assert_eq!(printable("\u{202e}exe"), "\\u{202e}exe");
    }
}

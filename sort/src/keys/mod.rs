//! Keys: what rows are sorted by, as one integer of 64 bits a row.
//!
//! ```text
//! dep_time (nulls last)   carrier desc          code, 64 bits
//! 2026-11-29 06:15        "LH"           ─▶   [1 | 29 bits │ 34 bits …]
//! ```
//!
//! Each key becomes a number of as many bits as its values take up, and the numbers stand one after
//! the other. If all of them fit, codes *are* the order ([`Keys::exact`]). If not, codes decide
//! what they can, and rows of equal codes are compared ([`Keys::compare`]).

mod build;
mod native;
pub(crate) mod text;

use std::cmp::Ordering;

pub(crate) use self::build::{KeyColumn, is_plain};

use self::native::{Native, Shift};
use self::text::Coder;
use crate::lanes::{Lane, Spans, Staging, Texts};
use crate::options::NanOrder;
use crate::source::{Run, Source};
use crate::ties::Deciding;

/// The keys of a sort.
#[derive(Debug)]
pub(crate) struct Keys {
    parts: Vec<Part>,
    nan: NanOrder,
    /// Whether equal codes mean equal keys.
    exact: bool,
}

/// One key.
#[derive(Debug)]
struct Part {
    /// The lane of its values.
    values: usize,
    /// The lane that says which are valid, if any may be null.
    valid: Option<usize>,
    kind: Kind,
    descending: bool,
    nulls_first: bool,
    /// Added to valid values' numbers, to leave room for nulls in front.
    bump: u64,
    /// The number of null.
    null: u64,
    /// How many bits its numbers have.
    bits: u32,
    /// How many of these, the upper ones, are in the code.
    taken: u32,
}

#[derive(Debug)]
enum Kind {
    Native(Native, Shift),
    /// A dictionary's keys: their width in bytes, and the number of each (nulls included).
    Ranks {
        width: usize,
        table: Vec<u64>,
    },
    Text(Box<Coder>),
}

/// A column as a key sees it: its values, and which are valid.
#[derive(Clone, Copy)]
struct Column<'a> {
    values: &'a [u8],
    valid: Option<&'a [u8]>,
    texts: &'a Texts,
}

impl Keys {
    /// Whether equal codes mean equal keys.
    pub(crate) fn exact(&self) -> bool {
        self.exact
    }

    /// Whether codes cost so much that they are kept rather than made again.
    pub(crate) fn costly(&self) -> bool {
        self.parts.iter().any(|part| matches!(part.kind, Kind::Text(_)))
    }

    /// The lanes that codes are made from.
    pub(crate) fn lanes(&self) -> impl Iterator<Item = usize> + '_ {
        self.parts.iter().flat_map(|part| std::iter::once(part.values).chain(part.valid))
    }

    /// The lanes whose values follow from the code: those of integers, if that is all there is to
    /// the keys. Not those of floats: NaN are equal and have bits that differ.
    pub(crate) fn told(&self) -> Vec<usize> {
        let integers = |part: &&Part| match part.kind {
            Kind::Native(native, _) => !native.is_float(),
            _ => false,
        };
        let told = self.parts.iter().filter(integers).filter(|_| self.exact);
        told.flat_map(|part| std::iter::once(part.values).chain(part.valid)).collect()
    }

    /// The codes of a run of the source's rows.
    pub(crate) fn encode_run(
        &self,
        source: &Source,
        lanes: &[Lane],
        run: Run,
        staging: &mut [Staging],
        codes: &mut [u64],
    ) {
        let mut staged: Vec<&[u8]> = vec![&[]; lanes.len()];
        for (at, staging) in staging.iter_mut().enumerate() {
            if self.lanes().any(|lane| lane == at) {
                staged[at] = lanes[at].stage(source, run, staging);
            }
        }
        self.encode(lanes, &staged, codes);
    }

    /// The codes of rows whose values are these, lane by lane.
    pub(crate) fn encode(&self, lanes: &[Lane], staged: &[&[u8]], codes: &mut [u64]) {
        let mut numbers = Vec::new();
        for (at, part) in self.parts.iter().enumerate() {
            let column = part.column(lanes, staged);
            if at == 0 {
                part.numbers(column, self.nan, codes);
                let cut = part.bits - part.taken;
                if cut > 0 {
                    codes.iter_mut().for_each(|code| *code >>= cut);
                }
                continue;
            }
            if part.taken == 0 {
                continue;
            }
            numbers.resize(codes.len(), 0);
            part.numbers(column, self.nan, &mut numbers);
            let cut = part.bits - part.taken;
            for (code, number) in codes.iter_mut().zip(&numbers) {
                *code = code.unbounded_shl(part.taken) | number >> cut;
            }
        }
    }

    /// The strings that decide between rows of equal codes, if strings do: what comes before them
    /// is in the code then, all of it.
    pub(crate) fn deciding<'a>(
        &self,
        lanes: &'a [Lane],
        staged: &[&'a [u8]],
    ) -> Option<Deciding<'a>> {
        let decided = |part: &Part| part.is_exact() && part.taken == part.bits;
        let at = self.parts.iter().position(|part| !decided(part))?;
        let part = &self.parts[at];
        let Kind::Text(_) = part.kind else { return None };
        let Column { values, valid, texts } = part.column(lanes, staged);
        // SAFETY: the lane's spans, of a source that is there.
        let spans = unsafe { Spans::new(values, texts) };
        let last = at + 1 == self.parts.len();
        Some(Deciding { spans, valid, descending: part.descending, last })
    }

    /// Compares two rows in full.
    pub(crate) fn compare(&self, lanes: &[Lane], staged: &[&[u8]], a: usize, b: usize) -> Ordering {
        self.parts
            .iter()
            .map(|part| part.compare(part.column(lanes, staged), self.nan, a, b))
            .find(|order| order.is_ne())
            .unwrap_or(Ordering::Equal)
    }
}

impl Part {
    fn column<'a>(&self, lanes: &'a [Lane], staged: &[&'a [u8]]) -> Column<'a> {
        let valid = self.valid.map(|lane| staged[lane]);
        Column { values: staged[self.values], valid, texts: lanes[self.values].texts() }
    }

    /// The key's numbers of a column's rows.
    fn numbers(&self, column: Column<'_>, nan: NanOrder, numbers: &mut [u64]) {
        match &self.kind {
            Kind::Native(native, shift) => native.codes(column.values, nan, *shift, numbers),
            Kind::Ranks { width, table } => {
                for (row, number) in numbers.iter_mut().enumerate() {
                    *number = table.get(index(column.values, *width, row)).copied().unwrap_or(0);
                }
                // Numbers of the table have room for nulls already.
                self.mark_nulls(column, 0, numbers);
                return;
            }
            Kind::Text(coder) => {
                self.text_numbers(coder, column, numbers);
            }
        }
        self.mark_nulls(column, self.bump, numbers);
    }

    fn text_numbers(&self, coder: &Coder, column: Column<'_>, numbers: &mut [u64]) {
        // SAFETY: the lane's spans, of a source that is there.
        let spans = unsafe { Spans::new(column.values, column.texts) };
        let (fours, rest) = numbers.as_chunks_mut::<4>();
        let last = 4 * fours.len();
        coder.wide(|| {
            for (at, four) in fours.iter_mut().enumerate() {
                let first = 4 * at;
                (first + 8..first + 12).for_each(|ahead| spans.prefetch(ahead));
                *four = coder.four([0, 1, 2, 3].map(|more| spans.bytes(first + more)));
            }
        });
        for (at, number) in rest.iter_mut().enumerate() {
            *number = coder.code(spans.bytes(last + at));
        }
        if self.descending {
            numbers.iter_mut().for_each(|number| *number = coder.most() - *number);
        }
    }

    fn mark_nulls(&self, column: Column<'_>, bump: u64, numbers: &mut [u64]) {
        let Some(valid) = column.valid else { return };
        for (number, valid) in numbers.iter_mut().zip(valid) {
            *number = if *valid == 0 { self.null } else { number.wrapping_add(bump) };
        }
    }

    fn compare(&self, column: Column<'_>, nan: NanOrder, a: usize, b: usize) -> Ordering {
        let is_null = |row: usize| column.valid.is_some_and(|valid| valid[row] == 0);
        let order = match &self.kind {
            Kind::Ranks { width, table } => {
                // A null may be the dictionary's too. The table has direction and nulls already.
                let number = |row| match is_null(row) {
                    true => Some(&self.null),
                    false => table.get(index(column.values, *width, row)),
                };
                return number(a).cmp(&number(b));
            }
            _ if is_null(a) || is_null(b) => {
                // Two nulls are equal; one that is valid is the greater if nulls come first.
                let order = is_null(b).cmp(&is_null(a));
                return if self.nulls_first { order } else { order.reverse() };
            }
            Kind::Native(native, _) => native.compare(column.values, nan, a, b),
            Kind::Text(_) => {
                // SAFETY: the lane's spans, of a source that is there.
                let spans = unsafe { Spans::new(column.values, column.texts) };
                spans.bytes(a).cmp(spans.bytes(b))
            }
        };
        if self.descending { order.reverse() } else { order }
    }
}

/// A dictionary key, as an index; one that is negative, as a null's may be, is none.
fn index(values: &[u8], width: usize, row: usize) -> usize {
    match width {
        1 => usize::from(values[row]),
        2 => u16::from_ne_bytes(values.as_chunks().0[row]).into(),
        4 => u32::from_ne_bytes(values.as_chunks().0[row]) as usize,
        _ => usize::try_from(u64::from_ne_bytes(values.as_chunks().0[row])).unwrap_or(usize::MAX),
    }
}

//! What a sort is told, and what it tells.

use std::ops::ControlFlow;

/// A column to sort by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SortKey {
    /// The column's name.
    pub column: String,
    /// Greatest first.
    pub descending: bool,
    /// Nulls before everything else, whatever the direction; after it if not.
    pub nulls_first: bool,
}

impl SortKey {
    /// A column, ascending, nulls last.
    pub fn new(column: impl Into<String>) -> Self {
        Self { column: column.into(), descending: false, nulls_first: false }
    }

    /// Reads `COLUMN[:asc|:desc][:nulls-first|:nulls-last]`.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut key = Self::new("");
        let mut column = text;
        while let Some((before, word)) = column.rsplit_once(':')
            && key.understand(word)
        {
            column = before;
        }
        key.column = column.into();
        key
    }

    /// Takes in `asc`, `desc`, `nulls-first` or `nulls-last`; whether it is one of them.
    pub fn understand(&mut self, word: &str) -> bool {
        match word {
            "asc" => self.descending = false,
            "desc" => self.descending = true,
            "nulls-first" | "nulls_first" => self.nulls_first = true,
            "nulls-last" | "nulls_last" => self.nulls_first = false,
            _ => return false,
        }
        true
    }

    /// Greatest first.
    #[must_use]
    pub fn descending(mut self) -> Self {
        self.descending = true;
        self
    }

    /// Nulls first.
    #[must_use]
    pub fn nulls_first(mut self) -> Self {
        self.nulls_first = true;
        self
    }
}

/// Where floats that are not numbers stand. They are all equal to each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NanOrder {
    /// Greater than all numbers, as DuckDB, polars and SQL engines have it.
    #[default]
    Greatest,
    /// Less than all numbers.
    Smallest,
}

/// How to sort.
#[derive(Clone, Copy, Default)]
pub struct SortOptions<'a> {
    /// How many threads work; as many as the process may use when 0.
    pub threads: usize,
    /// Where NaN stands.
    pub nan: NanOrder,
    /// Called some twenty times a second, by the thread that called; `Break` cancels the sort, of
    /// which nothing is left then.
    pub progress: Option<&'a (dyn Fn(Progress) -> ControlFlow<()> + Sync)>,
}

impl std::fmt::Debug for SortOptions<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { threads, nan, progress } = self;
        let progress = progress.is_some();
        write!(f, "SortOptions {{ threads: {threads}, nan: {nan:?}, progress: {progress} }}")
    }
}

/// How far a sort is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What it is doing.
    pub stage: Stage,
    /// Rows that this stage is done with.
    pub rows: u64,
    /// Rows that there are.
    pub total: u64,
}

/// What a sort does, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// Reads the keys: are they in order, how are they spread?
    Count,
    /// Moves every row to its bucket, a range of keys.
    Scatter,
    /// Sorts each bucket.
    Sort,
    /// Gathers strings and whatever else has no fixed width.
    Gather,
    /// Sorts as much as memory holds, and writes it to disk; again and again.
    Spill,
    /// Brings together what was written to disk.
    Merge,
}

impl Stage {
    /// The stage in a word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Scatter => "scatter",
            Self::Sort => "sort",
            Self::Gather => "gather",
            Self::Spill => "spill",
            Self::Merge => "merge",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_from_the_right() {
        assert_eq!(SortKey::parse("dep"), SortKey::new("dep"));
        assert_eq!(
            SortKey::parse("carrier:desc:nulls-first"),
            SortKey::new("carrier").descending().nulls_first()
        );
        assert_eq!(SortKey::parse("a:b"), SortKey::new("a:b"));
        assert_eq!(SortKey::parse("desc:asc"), SortKey::new("desc"));
        assert_eq!(SortKey::parse("a:b:desc"), SortKey::new("a:b").descending());
    }
}

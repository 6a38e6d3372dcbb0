//! SQL over stored tables beside DataFusion's own tables in memory, and data for both.
//!
//! The queries are in `bench/sql`, one file for each set: TPC-H's, and some in the manner of
//! ClickBench over a table of page views that is made here.

pub mod ratios;
pub mod tables;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

/// A set of queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Set {
    /// TPC-H's 22.
    Tpch,
    /// Page views.
    Hits,
}

/// A table by its name.
pub struct Named {
    /// Its name.
    pub name: &'static str,
    /// Its columns.
    pub schema: SchemaRef,
    /// Its rows.
    pub batches: Vec<RecordBatch>,
}

impl Set {
    /// Its queries: a name and the text of each.
    pub fn queries(self) -> Vec<(&'static str, &'static str)> {
        let text = match self {
            Self::Tpch => include_str!("../../sql/tpch.sql"),
            Self::Hits => include_str!("../../sql/hits.sql"),
        };
        let parts = text.split("-- ").filter(|part| !part.trim().is_empty());
        let query = |part: &'static str| {
            let (name, text) = part.split_once('\n')?;
            Some((name.trim(), text.trim().trim_end_matches(';')))
        };
        parts.filter_map(query).collect()
    }

    /// Its tables, of this size: TPC-H's scale factor, or ten million page views.
    #[must_use]
    pub fn tables(self, scale: f64) -> Vec<Named> {
        match self {
            Self::Tpch => tables::tpch(scale),
            Self::Hits => vec![tables::hits((scale * 1e7) as usize)],
        }
    }
}

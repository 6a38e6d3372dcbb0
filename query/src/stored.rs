//! A stored table as DataFusion sees one.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use arrow_schema::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{DFSchema, Statistics};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::{TableProvider, TableType};
use datafusion::error::Result;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use sheaf_store::Table;

use crate::narrow::Ground;
use crate::pruning;
use crate::scan::Scan;
use crate::statistics::{self, OrderKey, Shared, rows_of};

/// The least rows that are worth a partition of their own.
const LEAST_ROWS: u64 = 16 << 10;

/// A table that is held, and what is known of it. It stays as it is whatever becomes of its name.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) table: Table,
    /// Its columns, each with a name of its own.
    pub(crate) schema: SchemaRef,
    /// The row that each batch begins at, and the one behind the last.
    pub(crate) starts: Arc<[u64]>,
    pub(crate) statistics: Option<Shared>,
}

impl Stored {
    pub(crate) fn new(table: Table, statistics: Option<Shared>) -> Self {
        // Each message says how many rows its batch has; thousands of looks, where none is known.
        let starts = match &statistics {
            Some(known) => known.starts.clone(),
            None => statistics::starts(table.file().batch_rows()).into(),
        };
        let schema = told_apart(table.schema());
        Self { table, schema, starts, statistics }
    }

    pub(crate) fn num_rows(&self) -> u64 {
        self.starts.last().copied().unwrap_or(0)
    }

    pub(crate) fn ground(&self) -> Ground {
        Ground::new(self.table.object().buffer())
    }

    /// The order of the rows, if it is known.
    pub(crate) fn ordering(&self) -> Option<LexOrdering> {
        let order = &self.statistics.as_ref()?.order;
        let fields = self.schema.fields();
        LexOrdering::new(order.iter().map(|OrderKey { column, options }| {
            let column = Column::new(fields[*column].name(), *column);
            PhysicalSortExpr::new(Arc::new(column), *options)
        }))
    }

    /// All of it, in numbers.
    pub(crate) fn summary(&self) -> Statistics {
        let mut summary = statistics::unknown(&self.table, self.num_rows() as usize);
        if let Some(known) = &self.statistics {
            summary.column_statistics.clone_from(&known.summary);
        }
        summary.calculate_total_byte_size(&self.schema);
        summary
    }

    /// The rows that may be wanted, in few ranges: groups that the filters leave out are not among
    /// them.
    fn wanted(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<Range<u64>>> {
        let all = Range { start: 0, end: self.num_rows() };
        let (Some(known), Some(filter)) = (&self.statistics, conjunction(filters.to_vec())) else {
            return Ok(vec![all]);
        };
        let schema = DFSchema::try_from(self.schema.as_ref().clone())?;
        let Ok(filter) = state.create_physical_expr(filter, &schema) else { return Ok(vec![all]) };
        let Some(kept) = pruning::kept(&filter, &self.schema, known) else {
            return Ok(vec![all]);
        };
        let mut wanted: Vec<Range<u64>> = Vec::new();
        for group in (0..kept.len()).filter(|group| kept[*group]) {
            let rows = rows_of(group, all.end);
            match wanted.last_mut() {
                Some(last) if last.end == rows.start => last.end = rows.end,
                _ => wanted.push(rows),
            }
        }
        Ok(wanted)
    }
}

/// The schema with another name for each column that has one of an earlier column: `a`, `a:1`.
fn told_apart(schema: &SchemaRef) -> SchemaRef {
    let names: HashSet<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    if names.len() == schema.fields().len() {
        return schema.clone();
    }
    let mut taken: HashSet<String> = names.into_iter().map(str::to_owned).collect();
    let mut seen = HashSet::new();
    let fields = schema.fields().iter().map(|field| {
        if seen.insert(field.name().clone()) {
            return field.as_ref().clone();
        }
        let mut names = (1..).map(|number| format!("{}:{number}", field.name()));
        let name = names.find(|name| taken.insert(name.clone())).unwrap_or_default();
        field.as_ref().clone().with_name(name)
    });
    let fields: Vec<_> = fields.collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// Shares out rows: each partition gets as many as any other, in the order of the table.
fn partitions(wanted: &[Range<u64>], most: usize) -> Vec<Vec<Range<u64>>> {
    let rows: u64 = wanted.iter().map(|range| range.end - range.start).sum();
    let count = (rows / LEAST_ROWS).clamp(1, most.max(1) as u64);
    // In steps, so that what is cut for one partition is not cut again in its middle.
    const STEP: u64 = 8 << 10;
    let share = rows.div_ceil(count).next_multiple_of(STEP);
    let mut all: Vec<Vec<Range<u64>>> = vec![Vec::new()];
    let mut left = share;
    for range in wanted {
        let mut start = range.start;
        while start < range.end {
            if left == 0 {
                all.push(Vec::new());
                left = share;
            }
            let end = range.end.min(start + left);
            if let Some(partition) = all.last_mut() {
                partition.push(start..end);
            }
            left -= end - start;
            start = end;
        }
    }
    all
}

#[async_trait]
impl TableProvider for Stored {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let wanted = self.wanted(state, filters)?;
        let few = limit.is_some_and(|limit| limit as u64 <= LEAST_ROWS);
        let most = if few { 1 } else { state.config().target_partitions() };
        // Kept alive by the plan: the table is a few pointers, and all of them are shared.
        let own = Self {
            table: self.table.clone(),
            schema: self.schema.clone(),
            starts: self.starts.clone(),
            statistics: self.statistics.clone(),
        };
        let scan = Scan::new(Arc::new(own), projection, partitions(&wanted, most), limit)?;
        Ok(DataSourceExec::from_data_source(scan))
    }

    fn statistics(&self) -> Option<Statistics> {
        Some(self.summary())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(partitions: &[Vec<Range<u64>>]) -> Vec<u64> {
        let of = |partition: &Vec<Range<u64>>| partition.iter().map(|r| r.end - r.start).sum();
        partitions.iter().map(of).collect()
    }

    #[test]
    fn partitions_are_of_rows_whatever_the_batches() {
        let million = Range { start: 0, end: 1_000_000 };
        let all = partitions(&[million], 4);
        assert_eq!(all.len(), 4);
        assert_eq!(rows(&all).iter().sum::<u64>(), 1_000_000);
        assert!(rows(&all)[..3].iter().all(|rows| *rows == rows_each(1_000_000, 4)));

        let holes = partitions(&[0..100_000, 300_000..301_000, 500_000..600_000], 2);
        assert_eq!(holes.len(), 2);
        assert_eq!(rows(&holes).iter().sum::<u64>(), 201_000);
        assert_eq!(holes[1].last(), Some(&(500_000 + (holes_first(&holes) - 101_000)..600_000)));
    }

    fn rows_each(rows: u64, count: u64) -> u64 {
        rows.div_ceil(count).next_multiple_of(8 << 10)
    }

    fn holes_first(holes: &[Vec<Range<u64>>]) -> u64 {
        rows(holes)[0]
    }

    #[test]
    fn few_rows_are_one_partition() {
        let ten = Range { start: 0, end: 10 };
        assert_eq!(partitions(std::slice::from_ref(&ten), 8), vec![vec![ten]]);
        assert_eq!(partitions(&[], 8), vec![Vec::<Range<u64>>::new()]);
    }
}

//! Which groups of rows a filter leaves out, by what is known of them.

use std::collections::HashSet;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, UInt64Array};
use arrow_schema::{Schema, SchemaRef};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr_common::physical_expr::snapshot_generation;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;

use crate::statistics::{GROUP_ROWS, Shared, TableStatistics, rows_of};

/// For each group whether some row of it may pass the filter; nothing if nothing can be told.
pub(crate) fn kept(
    filter: &Arc<dyn PhysicalExpr>,
    schema: &SchemaRef,
    known: &TableStatistics,
) -> Option<Vec<bool>> {
    let builder = PruningPredicateBuilder::new().with_file_schema(schema.clone());
    let predicate = builder.try_build(filter.clone()).ok()?;
    if predicate.always_true() {
        return None;
    }
    predicate.prune(&Groups { schema, known }).ok()
}

/// The groups of a table, as DataFusion asks about them.
struct Groups<'a> {
    schema: &'a Schema,
    known: &'a TableStatistics,
}

impl Groups<'_> {
    fn column(&self, column: &Column) -> Option<usize> {
        self.schema.index_of(&column.name).ok()
    }
}

impl PruningStatistics for Groups<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.known.columns[self.column(column)?].min.clone()
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.known.columns[self.column(column)?].max.clone()
    }

    fn num_containers(&self) -> usize {
        self.known.num_groups()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        Some(Arc::new(self.known.columns[self.column(column)?].nulls.clone()))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let rows = (0..self.known.num_groups()).map(|group| {
            let rows = rows_of(group, self.known.rows);
            rows.end - rows.start
        });
        Some(Arc::new(UInt64Array::from_iter_values(rows)))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}

/// A filter that may become stricter while the plan runs, as those of joins and of `limit` do.
pub(crate) struct Moving {
    filter: Arc<dyn PhysicalExpr>,
    schema: SchemaRef,
    known: Shared,
    generation: Option<u64>,
    kept: Option<Vec<bool>>,
}

impl Moving {
    /// The filter is in terms of the columns of `schema`, the table's.
    pub(crate) fn new(filter: Arc<dyn PhysicalExpr>, schema: SchemaRef, known: Shared) -> Self {
        Self { filter, schema, known, generation: None, kept: None }
    }

    /// Whether the row's group can be left out, by what the filter says now; where it ends then.
    pub(crate) fn leaves_out(&mut self, row: u64) -> Option<u64> {
        let generation = snapshot_generation(&self.filter);
        if self.generation != Some(generation) {
            self.generation = Some(generation);
            self.kept = kept(&self.filter, &self.schema, &self.known);
        }
        let group = row / GROUP_ROWS;
        let is_kept = *self.kept.as_ref()?.get(group as usize)?;
        (!is_kept).then_some((group + 1) * GROUP_ROWS)
    }
}

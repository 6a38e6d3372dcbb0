//! Reading a stored table where it lies: ranges of rows, of the columns that are wanted.
//!
//! Each partition has ranges of its own. A batch is read (a look at its message) when its turn
//! comes, and goes out in pieces of the engine's batch size that point into the mapping.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow_array::{RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use datafusion::common::stats::Precision;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Statistics, project_schema};
use datafusion::config::ConfigOptions;
use datafusion::datasource::source::DataSource;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::projection::{ProjectionExprs, project_orderings};
use datafusion::physical_expr::{
    EquivalenceProperties, LexOrdering, Partitioning, PhysicalExpr, conjunction,
};
use datafusion::physical_plan::DisplayFormatType;
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::SchedulingType;
use datafusion::physical_plan::filter_pushdown::{FilterPushdownPropagation, PushedDown};
use datafusion::physical_plan::metrics::{Count, ExecutionPlanMetricsSet, MetricBuilder};
use datafusion::physical_plan::projection::{all_alias_free_columns, new_projections_for_columns};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;

use crate::error::external;
use crate::narrow::Ground;
use crate::pruning::Moving;
use crate::stored::Stored;

/// A scan of one table.
#[derive(Clone)]
pub(crate) struct Scan {
    stored: Arc<Stored>,
    /// The columns that are wanted, by their places in the table.
    columns: Arc<[usize]>,
    schema: SchemaRef,
    /// The rows of each partition.
    partitions: Arc<Vec<Vec<Range<u64>>>>,
    fetch: Option<usize>,
    /// In terms of the table's columns. Only to leave rows out: who gave them filters on.
    filters: Vec<Arc<dyn PhysicalExpr>>,
    metrics: ExecutionPlanMetricsSet,
}

impl Scan {
    pub(crate) fn new(
        stored: Arc<Stored>,
        projection: Option<&Vec<usize>>,
        partitions: Vec<Vec<Range<u64>>>,
        fetch: Option<usize>,
    ) -> Result<Self> {
        let schema = project_schema(&stored.schema, projection)?;
        let all = || (0..stored.schema.fields().len()).collect();
        let columns = projection.cloned().unwrap_or_else(all).into();
        let (partitions, metrics) = (Arc::new(partitions), ExecutionPlanMetricsSet::new());
        Ok(Self { stored, columns, schema, partitions, fetch, filters: Vec::new(), metrics })
    }

    /// The table, if the scan is all of it as it lies.
    pub(crate) fn whole(&self) -> Option<&Stored> {
        let is_all = self.columns.iter().copied().eq(0..self.stored.schema.fields().len());
        let has_all = self.num_rows() == self.stored.num_rows();
        (is_all && has_all && self.fetch.is_none()).then_some(&self.stored)
    }

    fn num_rows(&self) -> u64 {
        self.partitions.iter().flatten().map(|range| range.end - range.start).sum()
    }

    fn orderings(&self) -> Vec<LexOrdering> {
        let ordering: Vec<_> = self.stored.ordering().into_iter().collect();
        project_orderings(&ordering, &self.schema)
    }

    /// The expression in terms of the table's columns instead of the scan's.
    fn on_table(&self, expr: Arc<dyn PhysicalExpr>) -> Result<Arc<dyn PhysicalExpr>> {
        let moved = expr.transform(|part| {
            Ok(match part.downcast_ref::<Column>() {
                Some(column) => {
                    let place = self.columns[column.index()];
                    Transformed::yes(Arc::new(Column::new(column.name(), place)) as _)
                }
                None => Transformed::no(part),
            })
        })?;
        Ok(moved.data)
    }
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_as(DisplayFormatType::Default, f)
    }
}

impl DataSource for Scan {
    fn open(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let reading = Reading::new(self, partition, context.session_config().batch_size());
        let batches = futures_util::stream::iter(reading);
        let stream = RecordBatchStreamAdapter::new(self.schema.clone(), batches);
        Ok(Box::pin(cooperative(stream)))
    }

    fn fmt_as(&self, format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, rows) = (&self.stored.table.object().info().name, self.num_rows());
        let of = self.stored.num_rows();
        if format == DisplayFormatType::TreeRender {
            return writeln!(f, "table={name}\nrows={rows} of {of}");
        }
        write!(f, "table={name}, partitions={}, rows={rows} of {of}", self.partitions.len())?;
        if let Some(fetch) = self.fetch {
            write!(f, ", fetch={fetch}")?;
        }
        if let Some(ordering) = self.orderings().first() {
            write!(f, ", output_ordering={ordering}")?;
        }
        if let Some(filter) = (!self.filters.is_empty()).then(|| conjunction(self.filters.clone()))
        {
            write!(f, ", prunes_by={filter}")?;
        }
        Ok(())
    }

    fn output_partitioning(&self) -> Partitioning {
        Partitioning::UnknownPartitioning(self.partitions.len())
    }

    fn eq_properties(&self) -> EquivalenceProperties {
        EquivalenceProperties::new_with_orderings(self.schema.clone(), self.orderings())
    }

    fn scheduling_type(&self) -> SchedulingType {
        SchedulingType::Cooperative
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        let all = self.num_rows() as usize;
        let rows = match partition {
            None => all,
            Some(index) => self.partitions[index].iter().map(|r| (r.end - r.start) as usize).sum(),
        };
        let mut statistics = self.stored.summary();
        if rows < self.stored.num_rows() as usize {
            // Bounds still hold, but need not be met; counts are of more rows.
            statistics = statistics.to_inexact();
            statistics.num_rows = Precision::Exact(rows);
        }
        let mut statistics = statistics.project(Some(&self.columns));
        statistics.calculate_total_byte_size(&self.schema);
        let count = if partition.is_some() { 1 } else { self.partitions.len() };
        Ok(Arc::new(statistics.with_fetch(self.fetch, 0, count)?))
    }

    fn with_fetch(&self, fetch: Option<usize>) -> Option<Arc<dyn DataSource>> {
        Some(Arc::new(Self { fetch, ..self.clone() }))
    }

    fn fetch(&self) -> Option<usize> {
        self.fetch
    }

    fn metrics(&self) -> ExecutionPlanMetricsSet {
        self.metrics.clone()
    }

    fn try_swapping_with_projection(
        &self,
        projection: &ProjectionExprs,
    ) -> Result<Option<Arc<dyn DataSource>>> {
        let exprs: Vec<_> = projection.iter().cloned().collect();
        if !all_alias_free_columns(&exprs) {
            return Ok(None);
        }
        let columns = new_projections_for_columns(&exprs, &self.columns);
        let schema = project_schema(&self.stored.schema, Some(&columns))?;
        Ok(Some(Arc::new(Self { columns: columns.into(), schema, ..self.clone() })))
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        _: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn DataSource>>> {
        let answers = vec![PushedDown::No; filters.len()];
        let told = FilterPushdownPropagation::with_parent_pushdown_result(answers);
        if self.stored.statistics.is_none() {
            return Ok(told);
        }
        let mut own = self.clone();
        for filter in filters {
            own.filters.push(self.on_table(filter)?);
        }
        Ok(told.with_updated_node(Arc::new(own)))
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        for filter in &self.filters {
            if f(filter)? == TreeNodeRecursion::Stop {
                return Ok(TreeNodeRecursion::Stop);
            }
        }
        Ok(TreeNodeRecursion::Continue)
    }
}

/// One partition that is being read.
struct Reading {
    stored: Arc<Stored>,
    ground: Ground,
    columns: Arc<[usize]>,
    schema: SchemaRef,
    partitions: Arc<Vec<Vec<Range<u64>>>>,
    partition: usize,
    /// The range that is being read, and the next row of it.
    range: usize,
    row: Option<u64>,
    batch: Option<(usize, RecordBatch)>,
    left: usize,
    piece_rows: usize,
    moving: Option<Moving>,
    left_out: Count,
}

impl Reading {
    fn new(scan: &Scan, partition: usize, piece_rows: usize) -> Self {
        let moving = (!scan.filters.is_empty()).then(|| {
            let known = scan.stored.statistics.clone()?;
            let filter = conjunction(scan.filters.iter().cloned());
            Some(Moving::new(filter, scan.stored.schema.clone(), known))
        });
        Self {
            stored: scan.stored.clone(),
            ground: scan.stored.ground(),
            columns: scan.columns.clone(),
            schema: scan.schema.clone(),
            partitions: scan.partitions.clone(),
            partition,
            range: 0,
            row: None,
            batch: None,
            left: scan.fetch.unwrap_or(usize::MAX),
            piece_rows,
            moving: moving.flatten(),
            left_out: MetricBuilder::new(&scan.metrics).counter("rows_pruned", partition),
        }
    }

    /// The rows that come next, all of one batch.
    fn next_rows(&mut self) -> Option<(usize, Range<usize>)> {
        loop {
            let range = self.partitions[self.partition].get(self.range)?.clone();
            let row = *self.row.get_or_insert(range.start);
            if row >= range.end {
                self.range += 1;
                self.row = None;
                continue;
            }
            if let Some(end) = self.moving.as_mut().and_then(|moving| moving.leaves_out(row)) {
                let end = end.min(range.end);
                self.left_out.add((end - row) as usize);
                self.row = Some(end);
                continue;
            }
            let starts = &self.stored.starts;
            let batch = starts.partition_point(|start| *start <= row) - 1;
            let most = self.piece_rows.min(self.left) as u64;
            let end = range.end.min(starts[batch + 1]).min(row + most);
            self.row = Some(end);
            self.left -= (end - row) as usize;
            let inside = |row: u64| (row - starts[batch]) as usize;
            return Some((batch, inside(row)..inside(end)));
        }
    }

    fn read(&mut self, batch: usize, rows: Range<usize>) -> Result<RecordBatch> {
        let whole = match self.batch.take() {
            Some((index, whole)) if index == batch => whole,
            _ => self.stored.table.batch(batch).map_err(external)?,
        };
        let columns = self
            .columns
            .iter()
            .map(|column| self.ground.rows(whole.column(*column), rows.start, rows.len()));
        let columns = columns.collect::<std::result::Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        let piece = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?;
        self.batch = Some((batch, whole));
        Ok(piece)
    }
}

impl Iterator for Reading {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Result<RecordBatch>> {
        if self.left == 0 {
            return None;
        }
        let (batch, rows) = self.next_rows()?;
        Some(self.read(batch, rows))
    }
}

//! Ending a statement in the middle of its work.
//!
//! A task ends where it yields. DataFusion's scans do that, and what is built on them is polled no
//! oftener; but a join makes many batches of one, and goes through millions of pairs without making
//! any. So what multiplies rows is made to yield, and the filter of a nested loop looks at a flag.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::RecordBatch;
use arrow_schema::{FieldRef, Schema};
use datafusion::common::exec_err;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec,
};
use datafusion::physical_plan::unnest::UnnestExec;
use sheaf_store::{Error, Kind};

/// Says that a statement is not wanted any more.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        self.0.clone()
    }

    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// # Errors
    /// [`Kind::Interrupted`] when the statement is not wanted any more.
    pub(crate) fn check(&self) -> sheaf_store::Result<()> {
        if self.is_set() { Err(cancelled()) } else { Ok(()) }
    }
}

/// What a statement that is not wanted any more comes to.
pub(crate) fn cancelled() -> Error {
    Error::new(Kind::Interrupted, "the statement was cancelled")
}

/// The plan as one that ends soon after it is told to.
///
/// # Errors
/// None but those of DataFusion, for plans that it made itself.
pub(crate) fn stoppable(
    plan: Arc<dyn ExecutionPlan>,
    stop: &Stop,
) -> Result<Arc<dyn ExecutionPlan>> {
    let stoppable = plan.transform_up(|node| {
        if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
            let join = with_watched_filter(join, stop)?;
            return Ok(Transformed::yes(Arc::new(CooperativeExec::new(join))));
        }
        let multiplies = node.is::<CrossJoinExec>()
            || node.is::<HashJoinExec>()
            || node.is::<SortMergeJoinExec>()
            || node.is::<UnnestExec>();
        Ok(match multiplies {
            true => Transformed::yes(Arc::new(CooperativeExec::new(node)) as _),
            false => Transformed::no(node),
        })
    });
    Ok(stoppable?.data)
}

fn with_watched_filter(join: &NestedLoopJoinExec, stop: &Stop) -> Result<Arc<dyn ExecutionPlan>> {
    let filter = join.filter().map(|filter| {
        let watched = Watched { inner: filter.expression().clone(), stop: stop.clone() };
        let columns = filter.column_indices().to_vec();
        JoinFilter::new(Arc::new(watched), columns, filter.schema().clone())
    });
    let projection = join.projection().as_ref().map(|projection| projection.to_vec());
    let (left, right) = (join.left().clone(), join.right().clone());
    let watched = NestedLoopJoinExec::try_new(left, right, filter, join.join_type(), projection)?;
    Ok(Arc::new(watched))
}

/// An expression that fails once its statement is not wanted any more.
#[derive(Debug)]
struct Watched {
    inner: Arc<dyn PhysicalExpr>,
    stop: Stop,
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl PartialEq for Watched {
    fn eq(&self, other: &Self) -> bool {
        self.inner.eq(&other.inner)
    }
}

impl Eq for Watched {}

impl Hash for Watched {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl PhysicalExpr for Watched {
    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        if self.stop.is_set() {
            return exec_err!("the statement was cancelled");
        }
        self.inner.evaluate(batch)
    }

    fn return_field(&self, schema: &Schema) -> Result<FieldRef> {
        self.inner.return_field(schema)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        let inner = children.into_iter().next().unwrap_or_else(|| self.inner.clone());
        Ok(Arc::new(Self { inner, stop: self.stop.clone() }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}

//! `create table … order by`: the project's own sort, where all that it orders by are columns.
//!
//! ```text
//! order by over a stored table ─────────────────────────▶ sort ─▶ object
//! order by over anything else ─▶ its rows, as an object ─▶ sort ─▶ object
//! ```

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::common::Column;
use datafusion::datasource::source::DataSourceExec;
use datafusion::logical_expr::{Expr, LogicalPlan, Sort};
use datafusion::physical_plan::ExecutionPlan;
use sheaf_sort::{SortKey, SortOptions};
use sheaf_store::sql::Destination;
use sheaf_store::{Client, Info, Result, Table};

use crate::engine::ended;
use crate::scan::Scan;

/// What comes in which order.
pub(crate) struct Ordered<'a> {
    pub(crate) input: &'a LogicalPlan,
    pub(crate) by: Vec<SortKey>,
}

impl<'a> Ordered<'a> {
    /// The order that a plan ends in, if it is one that the sort knows: by columns of the result,
    /// all rows.
    pub(crate) fn of(plan: &'a LogicalPlan) -> Option<Self> {
        let LogicalPlan::Sort(Sort { expr, input, fetch: None }) = plan else { return None };
        let names = input.schema().fields();
        let key = |sort: &datafusion::logical_expr::SortExpr| {
            let Expr::Column(Column { name, .. }) = &sort.expr else { return None };
            // Of two columns of one name the sort could not tell which is meant.
            let is_one = names.iter().filter(|field| field.name() == name).count() == 1;
            is_one.then(|| SortKey {
                column: name.clone(),
                descending: !sort.asc,
                nulls_first: sort.nulls_first,
            })
        };
        let by = expr.iter().map(key).collect::<Option<Vec<_>>>()?;
        Some(Self { input, by })
    }
}

/// The stored table that a plan reads from its first row to its last, if it does nothing else.
pub(crate) fn whole(plan: &Arc<dyn ExecutionPlan>) -> Option<Table> {
    let source = plan.downcast_ref::<DataSourceExec>()?.data_source();
    let stored = source.downcast_ref::<Scan>()?.whole()?;
    (plan.schema() == *stored.table.schema()).then(|| stored.table.clone())
}

/// Sorts a table into an object.
///
/// # Errors
/// As [`sheaf_sort::sort`]. Dropped before its end, it ends the sort, of which nothing is left
/// then.
pub(crate) async fn sort(
    client: &Client,
    table: Table,
    by: Vec<SortKey>,
    into: Destination,
    threads: usize,
) -> Result<Info> {
    struct Left(Arc<AtomicBool>);

    impl Drop for Left {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    let left = Arc::new(AtomicBool::new(false));
    let _left = Left(left.clone());
    let client = client.clone();
    let work = move || {
        let progress = |_| match left.load(Ordering::Relaxed) {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let options = SortOptions { threads, progress: Some(&progress), ..SortOptions::default() };
        sheaf_sort::sort(&client, &table, &by, &into.name, &into.options, &options)
    };
    tokio::task::spawn_blocking(work).await.map_err(ended)?
}

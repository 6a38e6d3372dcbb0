//! Carrying out what a statement changes.

use std::sync::{Arc, PoisonError};

use datafusion::catalog::TableProviderFactory;
use datafusion::common::{ScalarValue, TableReference};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::dml::{CopyTo, InsertOp};
use datafusion::logical_expr::{CreateExternalTable, CreateMemoryTable, LogicalPlan};
use datafusion::physical_plan::execute_stream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures_util::StreamExt;
use sheaf_store::sql::{Destination, IfAbsent, IfPresent, Ingest};
use sheaf_store::{Client, Error, Info, Kind, ObjectKind, Result, Table};

use crate::bound::nullable;
use crate::change::{self, Change, stored_name};
use crate::error;
use crate::order::{self, Ordered};
use crate::sink;
use crate::snapshot::{name_of, text_of};
use crate::statement::{Own, physical};
use crate::stop::Stop;

impl Own {
    /// Puts the rows of a plan under a name, in the order that it ends in.
    pub(crate) async fn put(
        &self,
        plan: &LogicalPlan,
        into: Destination,
        stop: &Stop,
    ) -> Result<Info> {
        let client = self.session.engine.client()?;
        if let Some(Ordered { input, by }) = Ordered::of(plan) {
            match self.unordered(input, stop).await {
                Ok(table) => {
                    let threads = self.state.config().target_partitions();
                    return order::sort(&client, table, by, into, threads).await;
                }
                // The engine's own sort spills.
                Err(error) if error.kind() == Kind::Full => {}
                Err(error) => return Err(error),
            }
        }
        let rows = self.rows(plan, stop).await?;
        // What is declared without rows (`create table t (n int not null)`) is as it is declared.
        let rows = match plan {
            LogicalPlan::EmptyRelation(_) => rows,
            _ => all_nullable(rows),
        };
        sink::put(&client, rows, into, stop).await
    }

    /// The rows of a plan as a table of the store: a stored one, or one without a name.
    async fn unordered(&self, plan: &LogicalPlan, stop: &Stop) -> Result<Table> {
        let physical = physical(&self.state, plan, stop).await?;
        if let Some(table) = order::whole(&physical) {
            return Ok(table);
        }
        let rows = execute_stream(physical, self.state.task_ctx());
        let client = self.session.engine.client()?;
        sink::object_of(&client, rows.map_err(|error| error::of(&error))?, stop).await?.table()
    }

    /// Changes what is to be changed; how many rows that wrote.
    pub(crate) async fn change(self: &Arc<Self>, change: &Change, stop: &Stop) -> Result<u64> {
        let client = self.session.engine.client()?;
        match change {
            Change::Create(create) => self.create(&client, create, stop).await,
            Change::Insert { table, op, input } => {
                let if_present = match op {
                    InsertOp::Append => IfPresent::Append,
                    InsertOp::Overwrite => IfPresent::Replace,
                    InsertOp::Replace => {
                        let message = "there are no keys by which rows could be replaced";
                        return Err(Error::new(Kind::Invalid, message));
                    }
                };
                self.check_stored(table.table())?;
                let table = stored_name(table)?;
                let rows = self.and_others(self.rows(input, stop).await?, stop);
                let rows = sink::object_of(&client, rows, stop).await?.table()?;
                let if_absent = IfAbsent::Fail;
                change::ingest(&client, Ingest { table, rows, if_absent, if_present }, stop).await
            }
            Change::Ingest(ingest) => {
                self.check_stored(&text_of(&ingest.table).unwrap_or_default())?;
                change::ingest(&client, ingest.clone(), stop).await
            }
            Change::Drop { table, if_exists } => self.drop_table(table, *if_exists).await,
            Change::Copy(plan) => self.copy(plan, stop).await,
            Change::External(create) => self.external(create).await,
            Change::Set { name, value } => {
                self.session.set(name, value.as_deref())?;
                Ok(0)
            }
        }
    }

    async fn create(
        &self,
        client: &Client,
        create: &CreateMemoryTable,
        stop: &Stop,
    ) -> Result<u64> {
        let into = change::destination(create)?;
        let table = create.name.table();
        let exists = || {
            let message = format!("table {table} exists: drop it, or say `create or replace`");
            Error::new(Kind::Exists, message)
        };
        if create.if_not_exists && self.is_there(table)? {
            return Ok(0);
        }
        self.check_stored(table)?;
        match change::found(client, &into.name)? {
            Some(info) if info.kind != ObjectKind::Table => {
                let message = format!("object {table} is bytes, not a table: delete it first");
                return Err(Error::new(Kind::Exists, message));
            }
            Some(_) if !create.or_replace && !create.if_not_exists => return Err(exists()),
            _ => {}
        }
        match self.put(&create.input, into, stop).await {
            Ok(info) => Ok(info.rows),
            // Somebody else was quicker.
            Err(error) if error.kind() == Kind::Exists && create.if_not_exists => Ok(0),
            Err(error) if error.kind() == Kind::Exists => Err(exists()),
            Err(error) => Err(error),
        }
    }

    /// # Errors
    /// [`Kind::Invalid`] when the session calls an external table so.
    fn check_stored(&self, table: &str) -> Result<()> {
        if !self.is_own(table) {
            return Ok(());
        }
        let message = format!(
            "{table} is an external table of this session, which can only be read: drop it, or \
             choose another name"
        );
        Err(Error::new(Kind::Invalid, message))
    }

    fn is_there(&self, table: &str) -> Result<bool> {
        Ok(self.is_own(table) || self.snapshot.table(table)?.is_some())
    }

    fn is_own(&self, table: &str) -> bool {
        let own = self.session.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.contains_key(table)
    }

    async fn drop_table(&self, table: &TableReference, if_exists: bool) -> Result<u64> {
        let name = stored_name(table)?;
        let own =
            self.session.own.lock().unwrap_or_else(PoisonError::into_inner).remove(table.table());
        if own.is_some() {
            return Ok(0);
        }
        let client = self.session.engine.client()?;
        let deleting = tokio::task::spawn_blocking(move || change::delete(&client, &name));
        match deleting.await.map_err(crate::engine::ended)?? {
            false if !if_exists => Err(error::no_table(table.table())),
            _ => Ok(0),
        }
    }

    /// Writes files, in a folder that is allowed.
    async fn copy(&self, plan: &LogicalPlan, stop: &Stop) -> Result<u64> {
        let LogicalPlan::Copy(copy) = plan else {
            return Err(Error::new(Kind::Internal, "no copy"));
        };
        let output_url = self.session.engine.files.allowed(&copy.output_url)?;
        let plan = LogicalPlan::Copy(CopyTo { output_url, ..copy.clone() });
        let mut rows = self.rows(&plan, stop).await?;
        let mut count = 0;
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(|error| error::of(&error))?;
            for row in 0..batch.num_rows() {
                let value = ScalarValue::try_from_array(batch.column(0), row);
                if let Ok(ScalarValue::UInt64(Some(more))) = value {
                    count += more;
                }
            }
        }
        Ok(count)
    }

    /// A table of the session's own, of files in a folder that is allowed.
    async fn external(&self, create: &CreateExternalTable) -> Result<u64> {
        let name = name_of(create.name.table())?;
        stored_name(&create.name)?;
        let locations = create.locations.iter().map(|at| self.session.engine.files.allowed(at));
        let locations = locations.collect::<Result<Vec<_>>>()?;
        let is_there = self.is_there(create.name.table())?;
        if is_there && create.if_not_exists {
            return Ok(0);
        }
        if is_there && !(create.or_replace && self.is_own(create.name.table())) {
            let message = format!("table {name} exists: drop it, or choose another name");
            return Err(Error::new(Kind::Exists, message));
        }
        let create = CreateExternalTable { locations, ..create.clone() };
        let kind = create.file_type.to_uppercase();
        let Some(factory) = self.state.table_factories().get(&kind) else {
            let message = format!("{kind} files can't be read: parquet, csv, json and arrow can");
            return Err(Error::new(Kind::Invalid, message));
        };
        let factory: &dyn TableProviderFactory = factory.as_ref();
        let table =
            factory.create(&self.state, &create).await.map_err(|error| error::of(&error))?;
        let mut own = self.session.own.lock().unwrap_or_else(PoisonError::into_inner);
        own.insert(create.name.table().to_owned(), table);
        Ok(0)
    }
}

/// The rows of a table that is made of them: that a query happens to have no null in a column is no
/// promise that later rows have none.
fn all_nullable(rows: SendableRecordBatchStream) -> SendableRecordBatchStream {
    let schema = nullable(&rows.schema());
    let own = schema.clone();
    let rows = rows.map(move |batch| Ok(batch?.with_schema(own.clone())?));
    Box::pin(RecordBatchStreamAdapter::new(schema, rows))
}

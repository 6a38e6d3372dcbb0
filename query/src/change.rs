//! What changes the store: each statement in one step, or not at all.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, UInt64Array};
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{ArrowError, DataType, Field, Schema, SchemaRef};
use datafusion::common::TableReference;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{CreateExternalTable, CreateMemoryTable, LogicalPlan};
use sheaf_sort::SORTED_BY;
use sheaf_store::sql::{CATALOG, Destination, IfAbsent, IfPresent, Ingest, PUBLIC};
use sheaf_store::{Client, Error, Info, Kind, Name, ObjectKind, PutOptions, Result, State, Table};

use crate::engine::ended;
use crate::snapshot::name_of;
use crate::stop::Stop;

/// How often a new version is tried when others replace the table at the same time.
const MOST_TRIES: usize = 64;

/// A statement that changes something.
pub(crate) enum Change {
    Create(CreateMemoryTable),
    Insert { table: TableReference, op: InsertOp, input: Arc<LogicalPlan> },
    Drop { table: TableReference, if_exists: bool },
    Copy(LogicalPlan),
    External(Box<CreateExternalTable>),
    Set { name: String, value: Option<String> },
    Ingest(Ingest),
}

/// What every change comes to: how many rows it wrote.
pub(crate) fn counted(count: u64) -> Result<RecordBatch> {
    let batch =
        RecordBatch::try_new(count_schema(), vec![Arc::new(UInt64Array::from(vec![count]))]);
    batch.map_err(|error| Error::new(Kind::Internal, error.to_string()))
}

/// The schema of [`counted`].
pub(crate) fn count_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("count", DataType::UInt64, false)]))
}

/// The name of the stored table that is meant.
///
/// # Errors
/// [`Kind::Denied`] for one of another schema than `public`; [`Kind::Invalid`] for what is no name.
pub(crate) fn stored_name(table: &TableReference) -> Result<Name> {
    let catalog = table.catalog().unwrap_or(CATALOG);
    let schema = table.schema().unwrap_or(PUBLIC);
    if catalog != CATALOG || schema != PUBLIC {
        let message = format!("{table} can't be changed: only tables of {CATALOG}.{PUBLIC} can");
        return Err(Error::new(Kind::Denied, message));
    }
    name_of(table.table())
}

/// Adds rows to a table, replaces it, or makes it: a new version each time, which is there all at
/// once. Returns how many rows were added.
///
/// # Errors
/// [`Kind::NotFound`] and [`Kind::Exists`] as `ingest` has it; [`Kind::Invalid`] when the columns
/// are others than the table's; [`Kind::Full`] when there is no room for the new version.
pub(crate) async fn ingest(client: &Client, ingest: Ingest, stop: &Stop) -> Result<u64> {
    let (client, stop) = (client.clone(), stop.clone());
    tokio::task::spawn_blocking(move || put_rows(&client, &ingest, &stop)).await.map_err(ended)?
}

fn put_rows(client: &Client, ingest: &Ingest, stop: &Stop) -> Result<u64> {
    let Ingest { table, rows, if_absent, if_present } = ingest;
    for attempt in 0..MOST_TRIES {
        let name = std::slice::from_ref(table);
        let found = client.get_together(name)?.into_iter().next();
        let before = match found {
            Some(Ok(object)) if object.info().kind == ObjectKind::Table => Some(object),
            Some(Ok(_)) => {
                let message = format!("object {table} is bytes, not a table: delete it first");
                return Err(Error::new(Kind::Exists, message));
            }
            Some(Err(error)) if error.kind() == Kind::NotFound => None,
            Some(Err(error)) => return Err(error),
            None => return Err(Error::new(Kind::Internal, "the store answered with nothing")),
        };
        let written = match (before, if_absent, if_present) {
            (None, IfAbsent::Fail, _) => {
                return Err(Error::new(Kind::NotFound, format!("there is no table {table}")));
            }
            (Some(_), _, IfPresent::Fail) => {
                return Err(Error::new(Kind::Exists, format!("table {table} exists")));
            }
            (None, ..) => write(client, table, None, rows, &PutOptions::default(), stop),
            (Some(before), ..) => {
                let replaces = Some(before.info().id);
                let put = PutOptions { replace: true, replaces, ..PutOptions::default() };
                let kept = match if_present {
                    IfPresent::Append => Some(before.table()?),
                    IfPresent::Replace | IfPresent::Fail => None,
                };
                write(client, table, kept.as_ref(), rows, &put, stop)
            }
        };
        match written {
            // Somebody else was quicker: begin with what there is now.
            Err(error) if error.kind() == Kind::Exists => {
                std::thread::sleep(Duration::from_micros(100 << attempt.min(7)));
            }
            Err(error) => return Err(error),
            Ok(()) => return Ok(rows.num_rows()),
        }
    }
    let message = format!("table {table} was replaced {MOST_TRIES} times meanwhile: try again");
    Err(Error::new(Kind::Exists, message))
}

/// Writes a version: what was there before, and the rows behind it.
fn write(
    client: &Client,
    name: &Name,
    before: Option<&Table>,
    rows: &Table,
    put: &PutOptions,
    stop: &Stop,
) -> Result<()> {
    let schema = match before {
        Some(before) => unordered(before.schema()),
        None => rows.schema().clone(),
    };
    let mut writer = client.writer(name, &schema, put)?;
    // What has no room for sure is to be told of before the work.
    writer.reserve(before.map_or(0, Table::nbytes) + rows.nbytes())?;
    for batch in before.into_iter().flat_map(Table::batches).chain(rows.batches()) {
        stop.check()?;
        writer.write(&fitted(&batch?, &schema)?)?;
    }
    // From here on it is done, whoever has left meanwhile.
    stop.check()?;
    writer.finish().map(|_| ())
}

/// The schema without a claim about the order: with rows behind the last one it would be false.
fn unordered(schema: &SchemaRef) -> SchemaRef {
    if !schema.metadata().contains_key(SORTED_BY) {
        return schema.clone();
    }
    let mut metadata = schema.metadata().clone();
    metadata.remove(SORTED_BY);
    Arc::new(schema.as_ref().clone().with_metadata(metadata))
}

/// The batch with these columns: by name, and by value of another type where none is lost.
///
/// # Errors
/// [`Kind::Invalid`] when columns are missing, or there are others, or values do not fit.
fn fitted(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let invalid = |message: String| Error::new(Kind::Invalid, message);
    let names = |schema: &Schema| {
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        names.join(", ")
    };
    let own = batch.schema();
    if own.fields().len() != schema.fields().len() {
        let (given, wanted) = (names(&own), names(schema));
        return Err(invalid(format!("the rows have columns {given}; the table has {wanted}")));
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let places = places(&own, schema).map_err(|name| {
        let wanted = names(schema);
        invalid(format!("column {name}: the rows have {}, the table has {wanted}", names(&own)))
    })?;
    let columns = schema.fields().iter().zip(places).map(|(field, place)| {
        let column = batch.column(place);
        if column.data_type() == field.data_type() {
            return Ok(column.clone());
        }
        let (given, wanted, name) = (column.data_type(), field.data_type(), field.name());
        let unfit = |why: &dyn Display| {
            invalid(format!("column {name} is {given}; the table has {wanted}: {why}"))
        };
        let fitted = cast_with_options(column, wanted, &options).map_err(|error| unfit(&error))?;
        if is_lossy(column, &fitted).map_err(|error| unfit(&error))? {
            return Err(unfit(&"values would be lost; cast them in the statement if they may be"));
        }
        Ok(fitted)
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
        .map_err(|error| invalid(error.to_string()))
}

/// Where in the first schema each column of the second is: in its place if all are, else where its
/// name is; the name of one that is nowhere, or in several places.
fn places<'a>(own: &Schema, wanted: &'a Schema) -> std::result::Result<Vec<usize>, &'a str> {
    let all = |schema: &'_ Schema| -> Vec<String> {
        schema.fields().iter().map(|field| field.name().clone()).collect()
    };
    let own = all(own);
    if own == all(wanted) {
        return Ok((0..own.len()).collect());
    }
    let place = |name: &'a str| {
        let mut found = own.iter().enumerate().filter(|(_, own)| *own == name);
        match (found.next(), found.next()) {
            (Some((place, _)), None) => Ok(place),
            _ => Err(name),
        }
    };
    let names = wanted.fields().iter().map(|field| field.name().as_str());
    let places = names.map(place).collect::<Result<Vec<_>, _>>()?;
    let repeated = |(at, place): (usize, &usize)| places[..at].contains(place);
    match places.iter().enumerate().position(repeated) {
        Some(at) => Err(wanted.field(at).name()),
        None => Ok(places),
    }
}

/// Whether numbers or times became others: a half that is cut off, a nanosecond.
fn is_lossy(before: &ArrayRef, after: &ArrayRef) -> Result<bool, ArrowError> {
    let counts = |data_type: &DataType| data_type.is_numeric() || data_type.is_temporal();
    if !counts(before.data_type()) || !counts(after.data_type()) {
        return Ok(false);
    }
    let back = cast_with_options(after, before.data_type(), &CastOptions::default())?;
    let same = arrow_ord::cmp::not_distinct(before, &back)?;
    Ok(same.true_count() < same.len())
}

/// Unbinds a table's name; whether it was there.
///
/// # Errors
/// [`Kind::Invalid`] when it is no table.
pub(crate) fn delete(client: &Client, name: &Name) -> Result<bool> {
    match found(client, name)? {
        None => Ok(false),
        Some(info) if info.kind != ObjectKind::Table => {
            let message = format!("object {name} is bytes, not a table: `sheaf rm {name}`");
            Err(Error::new(Kind::Invalid, message))
        }
        Some(_) => match client.delete(name) {
            Err(error) if error.kind() == Kind::NotFound => Ok(false),
            // Dropped in this moment, and written anew by another statement.
            Err(_) if found(client, name)?.is_none() => Ok(false),
            outcome => outcome.map(|()| true),
        },
    }
}

/// What has this name; nothing while it is only being written.
///
/// # Errors
/// [`Kind::Unavailable`] when the store is gone.
pub(crate) fn found(client: &Client, name: &Name) -> Result<Option<Info>> {
    match client.info(name, false) {
        Ok(info) => Ok((info.state == State::Sealed).then_some(info)),
        Err(error) if error.kind() == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The destination of a `create table`.
///
/// # Errors
/// As [`stored_name`]; [`Kind::Invalid`] for what a stored table can't have.
pub(crate) fn destination(create: &CreateMemoryTable) -> Result<Destination> {
    let invalid = |message: &str| Err(Error::new(Kind::Invalid, message.to_owned()));
    if create.temporary {
        return invalid("there are no temporary tables: create it, and drop it");
    }
    if create.constraints.iter().next().is_some() || !create.column_defaults.is_empty() {
        return invalid("stored tables have no constraints and no defaults: leave them out");
    }
    let options = PutOptions { replace: create.or_replace, ..PutOptions::default() };
    Ok(Destination { name: stored_name(&create.name)?, options })
}

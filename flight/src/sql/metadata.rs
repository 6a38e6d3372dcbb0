//! What there is: catalogs, schemas, tables, keys. Filters are those of the specification.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_flight::error::FlightError;
use arrow_flight::sql::Command;
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use sheaf_store::sql::{CATALOG, Described, PUBLIC, SYSTEM};
use tonic::Status;

use super::{Asker, Sql, server_info, types};
use crate::get::hydrated;
use crate::status;

/// The types of tables that there are.
const TABLE_TYPES: [&str; 2] = ["SYSTEM TABLE", "TABLE"];

/// The columns of the answer to a command that is about metadata; nothing for another one.
pub(super) fn schema_of(sql: &Sql, command: &Command) -> Result<Option<SchemaRef>, Status> {
    Ok(Some(match command.clone() {
        Command::CommandGetCatalogs(get) => get.into_builder().schema(),
        Command::CommandGetDbSchemas(get) => get.into_builder().schema(),
        Command::CommandGetTables(get) => get.into_builder().schema(),
        Command::CommandGetTableTypes(get) => get.into_builder().schema(),
        Command::CommandGetPrimaryKeys(_) => primary_keys(),
        Command::CommandGetExportedKeys(_)
        | Command::CommandGetImportedKeys(_)
        | Command::CommandGetCrossReference(_) => foreign_keys(),
        Command::CommandGetSqlInfo(_) => server_info::all(sql)?.schema(),
        Command::CommandGetXdbcTypeInfo(_) => types::all()?.schema(),
        _ => return Ok(None),
    }))
}

/// The answer to a command that is about metadata.
pub(super) async fn batch_of(
    sql: &Sql,
    asker: &Asker,
    command: Command,
) -> Result<RecordBatch, Status> {
    match command {
        Command::CommandGetCatalogs(get) => {
            let mut builder = get.into_builder();
            builder.append(CATALOG);
            builder.build().map_err(unbuilt)
        }
        Command::CommandGetDbSchemas(get) => {
            let mut builder = get.into_builder();
            [PUBLIC, SYSTEM].iter().for_each(|schema| builder.append(CATALOG, schema));
            builder.build().map_err(unbuilt)
        }
        Command::CommandGetTables(get) => {
            let with_columns = get.include_schema;
            let mut builder = get.into_builder();
            let tables = asker.session.tables(with_columns).await;
            for Described { schema, name, kind, columns } in
                tables.map_err(|error| status::of(&error))?
            {
                let columns = types::described(&hydrated(&columns));
                builder.append(CATALOG, schema, name, kind, &columns).map_err(unbuilt)?;
            }
            builder.build().map_err(unbuilt)
        }
        Command::CommandGetTableTypes(get) => {
            let mut builder = get.into_builder();
            TABLE_TYPES.iter().for_each(|kind| builder.append(kind));
            builder.build().map_err(unbuilt)
        }
        // Stored tables have no keys.
        Command::CommandGetPrimaryKeys(_) => Ok(RecordBatch::new_empty(primary_keys())),
        Command::CommandGetExportedKeys(_)
        | Command::CommandGetImportedKeys(_)
        | Command::CommandGetCrossReference(_) => Ok(RecordBatch::new_empty(foreign_keys())),
        Command::CommandGetSqlInfo(get) => {
            let all = server_info::all(sql)?;
            get.into_builder(&all).build().map_err(unbuilt)
        }
        Command::CommandGetXdbcTypeInfo(get) => {
            get.into_builder(&types::all()?).build().map_err(unbuilt)
        }
        other => Err(Status::invalid_argument(format!(
            "{} is no ticket: GetFlightInfo hands out tickets",
            other.type_url()
        ))),
    }
}

pub(super) fn unbuilt(error: FlightError) -> Status {
    Status::internal(format!("metadata that can't be told: {error}"))
}

fn text(name: &str, nullable: bool) -> Field {
    Field::new(name, DataType::Utf8, nullable)
}

fn primary_keys() -> SchemaRef {
    Arc::new(Schema::new(vec![
        text("catalog_name", true),
        text("db_schema_name", true),
        text("table_name", false),
        text("column_name", false),
        text("key_name", true),
        Field::new("key_sequence", DataType::Int32, false),
    ]))
}

fn foreign_keys() -> SchemaRef {
    Arc::new(Schema::new(vec![
        text("pk_catalog_name", true),
        text("pk_db_schema_name", true),
        text("pk_table_name", false),
        text("pk_column_name", false),
        text("fk_catalog_name", true),
        text("fk_db_schema_name", true),
        text("fk_table_name", false),
        text("fk_column_name", false),
        Field::new("key_sequence", DataType::Int32, false),
        text("fk_key_name", true),
        text("pk_key_name", true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ]))
}

//! What is known of the store, as tables: `sheaf.system.objects`, `.holders`, `.clients`,
//! `.settings`.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, StringBuilder, TimestampMillisecondBuilder, UInt32Builder, UInt64Builder,
};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::datasource::MemTable;
use datafusion::error::Result;
use sheaf_store::{Client, Info, State};

use crate::error::external;

const NAMES: [&str; 4] = ["clients", "holders", "objects", "settings"];

/// The schema `system`.
#[derive(Debug)]
pub(crate) struct System {
    client: Client,
    /// Name, value, what it is.
    settings: Vec<(String, String, String)>,
}

impl System {
    pub(crate) fn new(client: Client, settings: Vec<(String, String, String)>) -> Self {
        Self { client, settings }
    }

    fn list(&self, holders: bool) -> Result<Vec<Info>> {
        self.client.list(b"", holders).map_err(external)
    }
}

#[async_trait]
impl SchemaProvider for System {
    fn table_names(&self) -> Vec<String> {
        NAMES.map(str::to_owned).to_vec()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let batch = match name {
            "objects" => objects(&self.list(false)?)?,
            "holders" => holders(&self.list(true)?)?,
            "clients" => clients(&self.list(true)?)?,
            "settings" => settings(&self.settings)?,
            _ => return Ok(None),
        };
        Ok(Some(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?)))
    }

    fn table_exist(&self, name: &str) -> bool {
        NAMES.contains(&name)
    }
}

fn batch(fields: Vec<Field>, columns: Vec<ArrayRef>) -> Result<RecordBatch> {
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    Ok(RecordBatch::try_new(schema, columns)?)
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, false)
}

fn number(name: &str) -> Field {
    Field::new(name, DataType::UInt64, false)
}

fn time(name: &str, nullable: bool) -> Field {
    let utc = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    Field::new(name, utc, nullable)
}

fn state(state: State) -> String {
    state.to_string()
}

/// Every object and draft.
fn objects(infos: &[Info]) -> Result<RecordBatch> {
    let (mut names, mut kinds, mut states) =
        (StringBuilder::new(), StringBuilder::new(), StringBuilder::new());
    let mut sizes: [UInt64Builder; 5] = Default::default();
    let mut droppable = BooleanBuilder::new();
    let utc = || TimestampMillisecondBuilder::new().with_timezone("UTC");
    let (mut created, mut sealed) = (utc(), utc());
    for info in infos {
        names.append_value(info.name.to_string());
        kinds.append_value(info.kind.to_string());
        states.append_value(state(info.state));
        let numbers = [info.id, info.rows, info.batches, info.bytes, info.charged_bytes];
        sizes.iter_mut().zip(numbers).for_each(|(column, number)| column.append_value(number));
        droppable.append_value(info.droppable);
        created.append_value(info.created_ms.cast_signed());
        sealed.append_option((info.sealed_ms > 0).then_some(info.sealed_ms.cast_signed()));
    }
    let [mut ids, mut rows, mut batches, mut bytes, mut charged] = sizes;
    batch(
        vec![
            text("name"),
            text("kind"),
            text("state"),
            number("id"),
            number("rows"),
            number("batches"),
            number("bytes"),
            number("charged_bytes"),
            Field::new("droppable", DataType::Boolean, false),
            time("created", false),
            time("sealed", true),
        ],
        vec![
            Arc::new(names.finish()),
            Arc::new(kinds.finish()),
            Arc::new(states.finish()),
            Arc::new(ids.finish()),
            Arc::new(rows.finish()),
            Arc::new(batches.finish()),
            Arc::new(bytes.finish()),
            Arc::new(charged.finish()),
            Arc::new(droppable.finish()),
            Arc::new(created.finish()),
            Arc::new(sealed.finish()),
        ],
    )
}

/// Who holds or writes what, also of what has no name any more.
fn holders(infos: &[Info]) -> Result<RecordBatch> {
    let (mut names, mut states, mut commands) =
        (StringBuilder::new(), StringBuilder::new(), StringBuilder::new());
    let (mut ids, mut holds, mut bytes) =
        (UInt64Builder::new(), UInt64Builder::new(), UInt64Builder::new());
    let (mut pids, mut uids) = (UInt32Builder::new(), UInt32Builder::new());
    let mut writes = BooleanBuilder::new();
    for (info, holder) in infos.iter().flat_map(|info| info.holders.iter().map(move |h| (info, h)))
    {
        names.append_value(info.name.to_string());
        ids.append_value(info.id);
        states.append_value(state(info.state));
        bytes.append_value(info.charged_bytes);
        pids.append_value(holder.peer.pid);
        uids.append_value(holder.peer.uid);
        commands.append_value(&holder.peer.command);
        holds.append_value(holder.holds);
        writes.append_value(holder.writer);
    }
    batch(
        vec![
            text("name"),
            number("id"),
            text("state"),
            number("charged_bytes"),
            Field::new("pid", DataType::UInt32, false),
            Field::new("uid", DataType::UInt32, false),
            text("command"),
            number("holds"),
            Field::new("writes", DataType::Boolean, false),
        ],
        vec![
            Arc::new(names.finish()),
            Arc::new(ids.finish()),
            Arc::new(states.finish()),
            Arc::new(bytes.finish()),
            Arc::new(pids.finish()),
            Arc::new(uids.finish()),
            Arc::new(commands.finish()),
            Arc::new(holds.finish()),
            Arc::new(writes.finish()),
        ],
    )
}

/// What one process holds and writes.
#[derive(Default)]
struct Held {
    objects: u64,
    held_bytes: u64,
    drafts: u64,
    draft_bytes: u64,
}

/// The processes that hold or write anything.
fn clients(infos: &[Info]) -> Result<RecordBatch> {
    let mut all: BTreeMap<(u32, u32, String), Held> = BTreeMap::new();
    for (info, holder) in infos.iter().flat_map(|info| info.holders.iter().map(move |h| (info, h)))
    {
        let peer = &holder.peer;
        let held = all.entry((peer.pid, peer.uid, peer.command.clone())).or_default();
        if holder.writer {
            held.drafts += 1;
            held.draft_bytes += info.charged_bytes;
        } else {
            held.objects += 1;
            held.held_bytes += info.charged_bytes;
        }
    }
    let (mut pids, mut uids) = (UInt32Builder::new(), UInt32Builder::new());
    let mut commands = StringBuilder::new();
    let mut sizes: [UInt64Builder; 4] = Default::default();
    for ((pid, uid, command), held) in all {
        pids.append_value(pid);
        uids.append_value(uid);
        commands.append_value(command);
        let numbers = [held.objects, held.held_bytes, held.drafts, held.draft_bytes];
        sizes.iter_mut().zip(numbers).for_each(|(column, number)| column.append_value(number));
    }
    let mut columns: Vec<ArrayRef> =
        vec![Arc::new(pids.finish()), Arc::new(uids.finish()), Arc::new(commands.finish())];
    columns.extend(sizes.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef));
    batch(
        vec![
            Field::new("pid", DataType::UInt32, false),
            Field::new("uid", DataType::UInt32, false),
            text("command"),
            number("objects"),
            number("held_bytes"),
            number("drafts"),
            number("draft_bytes"),
        ],
        columns,
    )
}

/// What holds for the store and for this session.
fn settings(settings: &[(String, String, String)]) -> Result<RecordBatch> {
    let mut columns: [StringBuilder; 3] = Default::default();
    for (name, value, meaning) in settings {
        for (column, text) in columns.iter_mut().zip([name, value, meaning]) {
            column.append_value(text);
        }
    }
    let columns = columns.iter_mut().map(|column| Arc::new(column.finish()) as ArrayRef);
    batch(vec![text("name"), text("value"), text("description")], columns.collect())
}

//! What the store knows, as JSON for programs. Field names are a promise: they may be joined by
//! others, and stay.

use serde_json::{Value, json};
use sheaf_store::{Holder, Info, ObjectKind};

/// The fields of an object, for `--help`.
pub(crate) const OBJECT_HELP: &str = "\
JSON: name (text, or 0x… where it is no printable text), name_hex, kind (table, bytes), state
(draft, sealed, retired), bytes, charged_bytes, rows and batches (null unless a sealed table),
created_ms and sealed_ms (since the Unix epoch; sealed_ms is null for a draft), droppable,
metadata_bytes; with holders also holders: pid, uid, command, holds, writer.";

/// An object.
pub(crate) fn object(info: &Info, holders: bool) -> Value {
    let counted = info.kind == ObjectKind::Table && info.sealed_ms != 0;
    let mut value = json!({
        "name": info.name.to_string(),
        "name_hex": hex(info.name.as_bytes()),
        "kind": info.kind.to_string(),
        "state": info.state.to_string(),
        "bytes": info.bytes,
        "charged_bytes": info.charged_bytes,
        "rows": counted.then_some(info.rows),
        "batches": counted.then_some(info.batches),
        "created_ms": info.created_ms,
        "sealed_ms": (info.sealed_ms != 0).then_some(info.sealed_ms),
        "droppable": info.droppable,
        "metadata_bytes": info.metadata.len(),
    });
    if holders {
        value["holders"] = info.holders.iter().map(holder).collect();
    }
    value
}

fn holder(holder: &Holder) -> Value {
    json!({
        "pid": holder.peer.pid,
        "uid": holder.peer.uid,
        "command": holder.peer.command,
        "holds": holder.holds,
        "writer": holder.writer,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

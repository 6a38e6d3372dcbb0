//! What is pickled by value: schemas, as the Arrow file of a table without rows, and infos, as what
//! they are made of.
//!
//! Tables, stores and references are pickled as where they are (`table`, `store`, `_refs.py`).

use arrow_buffer::Buffer;
use arrow_schema::SchemaRef;
use sheaf_store::{Error, Holder, Info, Name, ObjectKind, Peer, State};

use crate::errors::invalid;

/// The Arrow file of a table with this schema and no rows.
///
/// # Errors
/// That the schema cannot be in a file.
pub(crate) fn schema_file(schema: &SchemaRef) -> Result<Vec<u8>, Error> {
    let plan = sheaf_ipc::Plan::new(schema, &[])?;
    let mut file = vec![0; plan.len()];
    plan.fill(&mut file, 1);
    Ok(file)
}

/// The schema of such a file.
///
/// # Errors
/// That it is none.
pub(crate) fn schema_of_file(file: &[u8]) -> Result<SchemaRef, Error> {
    Ok(sheaf_ipc::File::open(Buffer::from(file))?.schema().clone())
}

/// What an info is made of: name, kind and state; bytes, charged bytes, rows, batches, when it was
/// created and sealed; whether it is droppable; metadata and holders.
pub(crate) type InfoParts = (Vec<u8>, u8, u8, [u64; 7], bool, Vec<u8>, Vec<HolderParts>);

/// Process, user, command, holds, whether it writes.
type HolderParts = (u32, u32, String, u64, bool);

const KINDS: [ObjectKind; 2] = [ObjectKind::Table, ObjectKind::Bytes];
const STATES: [State; 3] = [State::Draft, State::Sealed, State::Retired];

pub(crate) fn info_parts(info: &Info) -> InfoParts {
    let place = |found: Option<usize>| found.and_then(|at| u8::try_from(at).ok()).unwrap_or(0);
    let holders = info.holders.iter().map(|Holder { peer, holds, writer }| {
        (peer.pid, peer.uid, peer.command.clone(), *holds, *writer)
    });
    (
        info.name.as_bytes().to_vec(),
        place(KINDS.iter().position(|kind| *kind == info.kind)),
        place(STATES.iter().position(|state| *state == info.state)),
        [
            info.id,
            info.bytes,
            info.charged_bytes,
            info.rows,
            info.batches,
            info.created_ms,
            info.sealed_ms,
        ],
        info.droppable,
        info.metadata.to_vec(),
        holders.collect(),
    )
}

/// The info that is made of these.
///
/// # Errors
/// That they are not those of an info.
pub(crate) fn info_of_parts(parts: InfoParts) -> Result<Info, Error> {
    let (name, kind, state, numbers, droppable, metadata, holders) = parts;
    let (Some(kind), Some(state)) = (KINDS.get(kind as usize), STATES.get(state as usize)) else {
        return Err(invalid("these are not the parts of an Info"));
    };
    let [id, bytes, charged_bytes, rows, batches, created_ms, sealed_ms] = numbers;
    let holders = holders.into_iter().map(|(pid, uid, command, holds, writer)| Holder {
        peer: Peer { pid, uid, command },
        holds,
        writer,
    });
    Ok(Info {
        name: Name::new(name)?,
        id,
        kind: *kind,
        state: *state,
        bytes,
        charged_bytes,
        rows,
        batches,
        created_ms,
        sealed_ms,
        droppable,
        metadata: metadata.into(),
        holders: holders.collect(),
    })
}

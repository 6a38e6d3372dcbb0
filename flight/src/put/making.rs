//! An object in the making: messages into a draft.
//!
//! Everything here may ask the store, and so may take a while, but for [`Making::room`] with room
//! at hand and [`Making::fill`], which are called between two frames of the network.

use arrow_buffer::Buffer;
use arrow_schema::DataType;
use sheaf_ipc::{Ingest, Intake, Metadata, Part, Placement};
use sheaf_store::{Client, Error, GrowingDraft, Info, Kind, ObjectKind, Result};

use super::begun::Begun;
use super::options::Place;
use crate::get::opaque;

/// A draft, and what turns messages into its bytes.
pub(super) struct Making {
    ingest: Ingest,
    draft: GrowingDraft,
    kind: ObjectKind,
}

impl Making {
    /// Begins with the stream's schema.
    pub(super) fn new(client: &Client, place: &Place, schema: &[u8]) -> Result<Self> {
        let ingest = Ingest::new(schema)?;
        let kind = kind_of(&ingest)?;
        Self::begin(ingest, client.grow(&place.name, kind, &place.options)?, kind)
    }

    /// Goes on where an earlier stream has ended: this one must have the same schema.
    pub(super) fn resume(begun: Begun, schema: &[u8]) -> Result<Self> {
        let ingest = Ingest::new(schema)?;
        let kind = kind_of(&ingest)?;
        let invalid = |message: String| Error::new(Kind::Invalid, message);
        match begun {
            Begun::Draft(draft, expected) if expected == kind => Self::begin(ingest, draft, kind),
            Begun::Draft(_, expected) => {
                Err(invalid(format!("a stream of {kind} for an upload of {expected}")))
            }
            Begun::Making(making) if making.ingest.schema() == ingest.schema() => Ok(*making),
            Begun::Making(_) => {
                Err(invalid("a stream of another schema than the upload's first".into()))
            }
        }
    }

    fn begin(ingest: Ingest, draft: GrowingDraft, kind: ObjectKind) -> Result<Self> {
        let mut making = Self { ingest, draft, kind };
        if kind == ObjectKind::Table {
            let start = making.ingest.start();
            making.write(&start, true)?;
        }
        Ok(making)
    }

    /// What is to be done with a message.
    pub(super) fn intake(
        &mut self,
        header: &[u8],
        body_len: usize,
        metadata: &Metadata,
    ) -> Result<Intake> {
        match self.kind {
            ObjectKind::Table => Ok(self.ingest.message(header, body_len, metadata)?),
            ObjectKind::Bytes => Ok(Intake::Whole),
        }
    }

    /// Whether a placement has room without asking the store.
    pub(super) fn has_room(&self, place: &Placement) -> bool {
        self.draft.has_room(place.len())
    }

    /// Makes room for a placement, and writes all of it but its body.
    pub(super) fn room(&mut self, place: &Placement) -> Result<()> {
        match self.draft.extend(place.len(), true) {
            Ok(target) => {
                place.start(target);
                Ok(())
            }
            Err(error) => {
                self.ingest.take_back();
                Err(error)
            }
        }
    }

    /// Puts bytes of the body of the placement that has room into their place.
    pub(super) fn fill(&mut self, place: &Placement, target: usize, bytes: &[u8]) {
        let all = self.draft.last_mut(place.len());
        sheaf_ipc::copy_through(bytes, &mut all[target..target + bytes.len()]);
    }

    /// Takes a message whole; whether it was a batch.
    pub(super) fn whole(
        &mut self,
        header: &[u8],
        body: &Buffer,
        metadata: &Metadata,
    ) -> Result<bool> {
        match self.kind {
            ObjectKind::Table => {
                let part = self.ingest.whole(header, body, metadata)?;
                part.map(|part| self.write(&part, true)).transpose().map(|part| part.is_some())
            }
            ObjectKind::Bytes => {
                let Some(batch) = self.ingest.decode(header, body)? else { return Ok(false) };
                for chunk in opaque::chunks(&batch) {
                    self.draft.extend(chunk.len(), true)?.copy_from_slice(chunk);
                }
                Ok(true)
            }
        }
    }

    /// Seals what has come.
    pub(super) fn finish(mut self) -> Result<Info> {
        if self.kind == ObjectKind::Table {
            let part = self.ingest.finish()?;
            part.fill(self.draft.extend(part.len(), false)?);
        }
        self.draft.seal()
    }

    /// Gives it up.
    pub(super) fn abort(self) -> Result<()> {
        self.draft.abort()
    }

    fn write(&mut self, part: &Part, ahead: bool) -> Result<()> {
        part.fill(self.draft.extend(part.len(), ahead)?);
        Ok(())
    }
}

/// What a stream of this schema becomes.
fn kind_of(ingest: &Ingest) -> Result<ObjectKind> {
    let schema = ingest.schema();
    let (key, value) = opaque::KIND;
    match schema.metadata().get(key).map(String::as_str) {
        None | Some("table") => Ok(ObjectKind::Table),
        Some(kind) if kind == value => {
            let is_chunks = schema.fields().len() == 1
                && schema.field(0).name() == opaque::COLUMN
                && *schema.field(0).data_type() == DataType::Binary;
            if is_chunks {
                return Ok(ObjectKind::Bytes);
            }
            let message = format!("opaque bytes come in one column, {}, of binary", opaque::COLUMN);
            Err(Error::new(Kind::Invalid, message))
        }
        Some(kind) => {
            let message = format!("{key} is {kind}: an object is a table or {value}");
            Err(Error::new(Kind::Invalid, message))
        }
    }
}

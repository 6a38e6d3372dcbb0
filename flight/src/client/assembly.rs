//! The messages of a stream, put together to an object in this process's memory.

use arrow_array::cast::AsArray;
use arrow_buffer::{Buffer, MutableBuffer};
use arrow_flight::FlightData;
use sheaf_ipc::{Ingest, Intake, Metadata, Part};
use sheaf_store::{Error, Info, Kind, Object, ObjectKind, Result};

use crate::app_metadata;
use crate::get::OPAQUE_COLUMN;

/// The most that is taken ahead of the messages, whatever the server says that will come, in bytes.
const MOST_AHEAD: u64 = 4 << 30;

/// An object of which a part has come.
pub(super) struct Assembly {
    info: Info,
    bytes: MutableBuffer,
    ingest: Option<Ingest>,
}

impl Assembly {
    /// Nothing has come yet of the object of which this is known.
    pub(super) fn new(info: Info) -> Self {
        let ahead = usize::try_from(info.bytes.min(MOST_AHEAD)).unwrap_or(0);
        Self { info, bytes: MutableBuffer::with_capacity(ahead), ingest: None }
    }

    /// Takes the next message.
    pub(super) fn message(&mut self, data: FlightData) -> Result<()> {
        let FlightData { data_header, app_metadata, data_body, .. } = data;
        if data_header.is_empty() {
            return Ok(());
        }
        match (&mut self.ingest, self.info.kind) {
            (None, _) => self.begin(&data_header),
            (Some(ingest), ObjectKind::Bytes) => {
                let batch = ingest.decode(&data_header, &aligned(&data_body))?;
                let column = batch.as_ref().and_then(|batch| batch.column_by_name(OPAQUE_COLUMN));
                let chunks = column.and_then(|column| column.as_binary_opt::<i32>());
                for chunk in chunks.into_iter().flatten().flatten() {
                    self.bytes.extend_from_slice(chunk);
                }
                Ok(())
            }
            (Some(ingest), ObjectKind::Table) => {
                let metadata = kept(&app_metadata);
                match ingest.message(&data_header, data_body.len(), &metadata)? {
                    Intake::Whole => {
                        let part = ingest.whole(&data_header, &aligned(&data_body), &metadata)?;
                        part.iter().for_each(|part| self.append(part));
                    }
                    Intake::Placed(place) => {
                        let target = extend(&mut self.bytes, place.len());
                        place.start(target);
                        for run in place.runs() {
                            let bytes = &data_body[run.source..run.source + run.len];
                            sheaf_ipc::copy_through(bytes, &mut target[run.target..][..run.len]);
                        }
                    }
                }
                Ok(())
            }
        }
    }

    fn begin(&mut self, schema: &[u8]) -> Result<()> {
        let ingest = Ingest::new(schema)?;
        if self.info.kind == ObjectKind::Table {
            self.append(&ingest.start());
        }
        self.ingest = Some(ingest);
        Ok(())
    }

    fn append(&mut self, part: &Part) {
        part.fill(extend(&mut self.bytes, part.len()));
    }

    /// The object, all of whose messages have come; it is checked like any other.
    pub(super) fn finish(mut self) -> Result<Object> {
        let Some(ingest) = self.ingest.take() else {
            return Err(Error::new(Kind::Internal, "a stream without a schema"));
        };
        if self.info.kind == ObjectKind::Table {
            self.append(&ingest.finish()?);
        }
        Object::in_memory(self.info, self.bytes.into())
    }
}

/// This many bytes more.
fn extend(bytes: &mut MutableBuffer, len: usize) -> &mut [u8] {
    let start = bytes.len();
    bytes.resize(start + len, 0);
    &mut bytes.as_slice_mut()[start..]
}

fn aligned(body: &[u8]) -> Buffer {
    Buffer::from_slice_ref(body)
}

/// The metadata that keeps what came beside a batch.
fn kept(app_metadata: &[u8]) -> Metadata {
    if app_metadata.is_empty() { Vec::new() } else { vec![app_metadata::to_pair(app_metadata)] }
}

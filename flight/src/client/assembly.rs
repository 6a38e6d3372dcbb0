//! The messages of a stream, put together to an object in this process's memory.

use arrow_buffer::{Buffer, MutableBuffer};
use arrow_flight::FlightData;
use sheaf_ipc::{Ingest, Intake, Part};
use sheaf_store::{Error, Info, Kind, Object, ObjectKind, Result};

use crate::app_metadata::kept;
use crate::get::opaque;

/// The most that is taken ahead of the messages, whatever the server says that will come, in bytes.
const MOST_AHEAD: u64 = 4 << 30;

/// An object of which a part has come.
pub(super) struct Assembly {
    info: Info,
    bytes: Bytes,
    ingest: Option<Ingest>,
}

impl Assembly {
    /// Nothing has come yet of the object of which this is known.
    pub(super) fn new(info: Info) -> Self {
        let ahead = usize::try_from(info.bytes.min(MOST_AHEAD)).unwrap_or(0);
        Self { info, bytes: Bytes::new(ahead), ingest: None }
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
                for chunk in batch.iter().flat_map(opaque::chunks) {
                    self.bytes.extend(chunk.len()).copy_from_slice(chunk);
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
                        let target = self.bytes.extend(place.len());
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
        part.fill(self.bytes.extend(part.len()));
    }

    /// The object, all of whose messages have come; it is checked like any other.
    pub(super) fn finish(mut self) -> Result<Object> {
        let Some(ingest) = self.ingest.take() else {
            return Err(Error::new(Kind::Internal, "a stream without a schema"));
        };
        if self.info.kind == ObjectKind::Table {
            self.append(&ingest.finish()?);
        }
        Object::in_memory(self.info, self.bytes.finish())
    }
}

/// Bytes that grow. What is taken ahead is the kernel's zero pages, which nobody writes twice.
struct Bytes {
    memory: MutableBuffer,
    len: usize,
}

impl Bytes {
    fn new(ahead: usize) -> Self {
        Self { memory: MutableBuffer::from_len_zeroed(ahead), len: 0 }
    }

    /// So many more.
    fn extend(&mut self, len: usize) -> &mut [u8] {
        let start = self.len;
        self.len += len;
        if self.len > self.memory.len() {
            self.memory.resize(self.len, 0);
        }
        &mut self.memory.as_slice_mut()[start..self.len]
    }

    fn finish(mut self) -> Buffer {
        self.memory.truncate(self.len);
        self.memory.into()
    }
}

fn aligned(body: &[u8]) -> Buffer {
    Buffer::from_slice_ref(body)
}

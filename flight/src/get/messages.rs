//! The messages of a stream, one after the other: schema, dictionaries, batches.
//!
//! What fits goes out as it is stored. A batch that is too large is cut into row ranges, whose
//! buffers are slices of the mapping all the same.

use arrow_buffer::Buffer;
use arrow_flight::FlightData;
use bytes::Bytes;
use sheaf_ipc::{Cutter, File, MessageKind, Piece};
use sheaf_store::{Object, ObjectKind};
use tonic::Status;

use super::encoded::Encoded;
use super::frame;
use super::opaque::Opaque;
use super::options::Options;
use crate::app_metadata;
use crate::status;

/// Zeros to pad with.
static ZEROS: [u8; 64] = [0; 64];

/// One message of a stream.
pub(crate) struct Outgoing {
    /// Its flatbuffer.
    pub(crate) header: Bytes,
    /// What the batch was put with.
    pub(crate) app_metadata: Bytes,
    /// Its body; a schema has none.
    pub(crate) body: Option<OutgoingBody>,
}

/// The body of a message, in pieces.
pub(crate) struct OutgoingBody {
    pub(crate) len: usize,
    pub(crate) parts: Vec<Bytes>,
}

impl Outgoing {
    /// The message as gRPC carries it, in pieces.
    pub(crate) fn framed(self) -> impl Iterator<Item = Bytes> {
        let Self { header, app_metadata, body } = self;
        let len = body.as_ref().map(|body| body.len);
        let before = frame::before_body(&header, &app_metadata, len);
        std::iter::once(before).chain(body.into_iter().flat_map(|body| body.parts))
    }

    /// The message for tonic's own encoder, which copies it.
    pub(crate) fn into_data(self) -> FlightData {
        let Self { header, app_metadata, body } = self;
        let mut parts = body.map(|body| body.parts).unwrap_or_default();
        let data_body = match parts.len() {
            1 => parts.remove(0),
            _ => parts.concat().into(),
        };
        FlightData { flight_descriptor: None, data_header: header, app_metadata, data_body }
    }
}

/// The messages of an object, made when their turn comes.
pub(super) enum Messages {
    Table(Box<Table>),
    Opaque(Opaque),
    Encoded(Box<Encoded>),
}

impl Messages {
    pub(super) fn new(object: &Object, options: Options) -> Result<Self, Status> {
        if !options.are_as_stored() {
            return Ok(Self::Encoded(Box::new(Encoded::new(object, options)?)));
        }
        if object.info().kind == ObjectKind::Bytes {
            return Ok(Self::Opaque(Opaque::new(object, options)));
        }
        let table = object.table().map_err(|error| status::of(&error))?;
        Ok(Self::of_file(table.file().clone(), options))
    }

    pub(super) fn of_file(file: File, options: Options) -> Self {
        Self::Table(Box::new(Table::new(file, options)))
    }

    /// The next message; none at the end.
    pub(super) fn next(&mut self) -> Result<Option<Outgoing>, Status> {
        match self {
            Self::Table(table) => table.next(),
            Self::Opaque(opaque) => Ok(opaque.next()),
            Self::Encoded(encoded) => encoded.next(),
        }
    }
}

/// A table's messages.
pub(super) struct Table {
    file: File,
    /// How many of the stored messages are done.
    done: usize,
    /// The batch that is being cut.
    cutting: Option<Cutting>,
    cutter: Option<Cutter>,
    most: usize,
}

struct Cutting {
    batch: usize,
    next_row: usize,
    rows: usize,
}

impl Table {
    fn new(file: File, options: Options) -> Self {
        Self { file, done: 0, cutting: None, cutter: None, most: options.message_bytes }
    }

    fn next(&mut self) -> Result<Option<Outgoing>, Status> {
        if self.cutting.is_some() {
            return self.next_piece().map(Some);
        }
        let Some(message) = self.file.message(self.done) else { return Ok(None) };
        let batch = self.done.checked_sub(self.file.num_messages() - self.file.num_batches());
        self.done += 1;
        let Some(batch) = batch.filter(|_| message.kind == MessageKind::Batch) else {
            let is_schema = message.kind == MessageKind::Schema;
            let body = (!is_schema).then_some(message.body);
            return Ok(Some(whole(message.header, Bytes::new(), body)));
        };
        if message.body.len() > self.most && self.cutter()?.num_rows(batch).map_err(broken)? > 1 {
            let rows = self.cutter()?.num_rows(batch).map_err(broken)?;
            self.cutting = Some(Cutting { batch, next_row: 0, rows });
            return self.next_piece().map(Some);
        }
        let kept = self.app_metadata(batch)?;
        Ok(Some(whole(message.header, kept, Some(message.body))))
    }

    fn next_piece(&mut self) -> Result<Outgoing, Status> {
        let Some(Cutting { batch, next_row, rows }) = self.cutting.take() else {
            return Err(Status::internal("no batch is being cut"));
        };
        let most = self.most;
        let piece = self.cutter()?.piece(batch, next_row, most, &Vec::new()).map_err(broken)?;
        // What belongs to the batch goes with its first rows.
        let kept = if next_row == 0 { self.app_metadata(batch)? } else { Bytes::new() };
        if piece.rows.end < rows {
            self.cutting = Some(Cutting { batch, next_row: piece.rows.end, rows });
        }
        Ok(cut(piece, kept))
    }

    fn cutter(&mut self) -> Result<&mut Cutter, Status> {
        if self.cutter.is_none() {
            self.cutter = Some(Cutter::new(&self.file).map_err(broken)?);
        }
        self.cutter.as_mut().ok_or_else(|| Status::internal("no cutter"))
    }

    fn app_metadata(&self, batch: usize) -> Result<Bytes, Status> {
        Ok(app_metadata::of(&self.file.batch_metadata(batch).map_err(broken)?))
    }
}

/// A message as it is stored.
fn whole(header: Buffer, app_metadata: Bytes, body: Option<Buffer>) -> Outgoing {
    let body = body.map(|body| {
        let len = body.len();
        let parts = if len > 0 { vec![shared(body)] } else { Vec::new() };
        OutgoingBody { len, parts }
    });
    Outgoing { header: shared(header), app_metadata, body }
}

/// A piece of a batch.
fn cut(piece: Piece, app_metadata: Bytes) -> Outgoing {
    let mut parts = Vec::with_capacity(2 * piece.body.len());
    for (buffer, zeros) in piece.body {
        if !buffer.is_empty() {
            parts.push(shared(buffer));
        }
        if zeros > 0 {
            parts.push(Bytes::from_static(&ZEROS[..zeros]));
        }
    }
    let body = Some(OutgoingBody { len: piece.body_len, parts });
    Outgoing { header: piece.header.into(), app_metadata, body }
}

/// The bytes of a buffer, which they keep: for a slice of a mapping, the mapping and its hold.
pub(super) fn shared(buffer: Buffer) -> Bytes {
    struct Owner(Buffer);

    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    Bytes::from_owner(Owner(buffer))
}

/// What was checked at seal turned out not to be sound.
fn broken(error: sheaf_ipc::Error) -> Status {
    Status::internal(format!("a stored table can't be read: {error}"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
    use sheaf_store::{PutOptions, ServeOptions, Server};

    use super::*;

    fn batch(rows: i64) -> RecordBatch {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
        let some: ArrayRef = Arc::new(Float64Array::from_iter(
            (0..rows).map(|row| (row % 3 > 0).then_some(row as f64)),
        ));
        let texts: ArrayRef =
            Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("row {row}"))));
        RecordBatch::try_from_iter_with_nullable([
            ("n", numbers, false),
            ("f", some, true),
            ("s", texts, false),
        ])
        .unwrap()
    }

    /// What of the bodies lies in the object's mapping, and what was made for them, in bytes.
    fn bodies(object: &Object, options: Options) -> (usize, usize, usize) {
        let mapping = object.mapped_range().unwrap();
        let mut messages = Messages::new(object, options).unwrap();
        let (mut mapped, mut made, mut count) = (0, 0, 0);
        while let Some(message) = messages.next().unwrap() {
            let Some(body) = message.body else { continue };
            assert_eq!(body.parts.iter().map(Bytes::len).sum::<usize>(), body.len);
            count += 1;
            for part in &body.parts {
                let start = part.as_ptr().addr();
                match mapping.contains(&start) && start + part.len() <= mapping.end {
                    true => mapped += part.len(),
                    false => made += part.len(),
                }
            }
        }
        (mapped, made, count)
    }

    /// The frames of a body point into the object's memory: nothing is copied for them.
    #[test]
    fn what_is_sent_lies_in_the_mapping() {
        const ROWS: i64 = 400_000;
        let folder = tempfile::tempdir().unwrap();
        let options = ServeOptions::new(folder.path().join("store.sock"), 128 << 20);
        let server = Server::spawn(options).unwrap();
        let client = sheaf_store::connect(&server.url()).unwrap();
        let batches = [batch(ROWS), batch(5), batch(70_000)];
        let none = PutOptions::default();
        client.put("t", &batches[0].schema(), &batches, &none).unwrap();
        let numbers = batch(ROWS).project(&[0, 1]).unwrap();
        client.put("numbers", &numbers.schema(), &[numbers], &none).unwrap();
        client.put_bytes("raw", &vec![7; 9 << 20], &none).unwrap();

        // Whole: every byte.
        let table = client.get("t").unwrap();
        let (mapped, made, count) = bodies(&table, Options::LARGEST);
        assert_eq!((made, count), (0, 3));
        assert!(mapped > 10 << 20, "{mapped}");

        // Cut: all but zeros between buffers, and offsets, which begin anew in each piece.
        let (mapped, made, count) = bodies(&table, Options::default());
        assert!(count > 3, "it was cut");
        let offsets = 4 * (ROWS as usize + count);
        assert!(made <= offsets + 64 * 6 * count, "{made} of {mapped}");
        let (mapped, made, count) = bodies(&client.get("numbers").unwrap(), Options::default());
        assert!(count > 1 && made <= 64 * 4 * count, "{made} of {mapped}");

        // Opaque bytes: all but the two offsets of each chunk, and zeros behind it.
        let (mapped, made, count) = bodies(&client.get("raw").unwrap(), Options::default());
        assert_eq!(mapped, 9 << 20);
        assert!(made <= 128 * count);
    }
}

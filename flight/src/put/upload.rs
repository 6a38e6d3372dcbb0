//! One upload, from its first byte to its seal.
//!
//! ```text
//! frames ─▶ Parser ─ events ─▶ Upload ─┬─ placed: each chunk to its place in the draft
//!                                      └─ whole: gathered, decoded, encoded anew
//! ```
//!
//! An upload that ends in any other way than its proper end leaves nothing: the draft is dropped,
//! and with it aborted.

use std::time::Duration;

use arrow_buffer::{Buffer, MutableBuffer};
use arrow_flight::sql::Command;
use arrow_flight::{FlightData, FlightDescriptor};
use bytes::Bytes;
use http::HeaderMap;
use http_body_util::BodyExt;
use prost::Message;
use sheaf_ipc::{Intake, Placement};
use sheaf_store::{Client, Info, Table};
use tonic::Status;
use tonic::body::Body;

use super::acks::Acks;
use super::begun::{Begun, Taken, Uploads};
use super::making::Making;
use super::options::{self, Target};
use super::parser::{Event, Limits, Malformed, Parser};
use crate::app_metadata::kept;
use crate::auth::Right;
use crate::door::Door;
use crate::sql::{self, Update};
use crate::status;

/// The most that a body which must be decoded may take, in bytes.
const MOST_GATHERED: usize = 1 << 30;

/// The most bytes of parameters of a client that may only read.
const MOST_OF_READERS: usize = 16 << 20;

/// What an upload was.
pub(super) enum Ended {
    /// An object; one of several steps is not there yet.
    Object(Option<Info>),
    /// Rows for a command of Flight SQL.
    Sql(Update, Option<Table>),
}

/// What came of a message so far.
#[derive(Default)]
struct Incoming {
    header: Option<Bytes>,
    app_metadata: Bytes,
    body: Place,
}

/// Where a message's body goes.
#[derive(Default)]
enum Place {
    #[default]
    None,
    Placed {
        place: Placement,
        /// How much of the body has come.
        at: usize,
        /// The run that the next byte belongs to, or the next one.
        run: usize,
    },
    Gathered(MutableBuffer),
}

/// An upload in progress.
pub(crate) struct Upload {
    door: Door,
    headers: HeaderMap,
    target: Option<Target>,
    making: Option<Making>,
    /// The upload of several steps that this is one of.
    step: Option<Taken>,
    uploads: Uploads,
    incoming: Incoming,
    acks: Option<Acks>,
    right: Right,
    /// The command of Flight SQL that the rows are for.
    sql: Option<Update>,
    /// How many bytes of bodies somebody may still send who may only read: values of parameters.
    left: usize,
    /// The bytes of bodies that were copied: to where they stay, and to anywhere else.
    #[cfg(test)]
    copied: (usize, usize),
}

impl Upload {
    /// An upload of which nothing has come. Batches are acknowledged to `acks`, if to anybody.
    pub(crate) fn new(
        door: Door,
        uploads: Uploads,
        headers: HeaderMap,
        acks: Option<Acks>,
        right: Right,
    ) -> Self {
        let (target, making, step) = (None, None, None);
        Self {
            door,
            headers,
            target,
            making,
            step,
            uploads,
            incoming: Incoming::default(),
            acks,
            right,
            sql: None,
            left: usize::MAX,
            #[cfg(test)]
            copied: (0, 0),
        }
    }

    /// Reads a stream to its end, and seals what it brought. Nothing may come for so long.
    pub(super) async fn run(mut self, mut body: Body, idle: Duration) -> Result<Ended, Status> {
        let mut parser = Parser::new(Limits::default());
        loop {
            let frame = tokio::time::timeout(idle, body.frame()).await.map_err(|_| {
                let seconds = idle.as_secs();
                Status::deadline_exceeded(format!(
                    "nothing came for {seconds} s: the upload ends, and nothing of it is kept"
                ))
            })?;
            let Some(frame) = frame else { break };
            let Ok(mut data) = frame?.into_data() else { continue };
            while let Some(event) = parser.next(&mut data).map_err(malformed)? {
                self.handle(event).await?;
            }
        }
        parser.finish().map_err(malformed)?;
        match self.sql.take() {
            Some(update) => Ok(Ended::Sql(update, self.rows().await?)),
            None => self.finish().await.map(Ended::Object),
        }
    }

    /// The rows that came for a command of Flight SQL, in a table that has no name.
    async fn rows(mut self) -> Result<Option<Table>, Status> {
        let Some(making) = self.making.take() else { return Ok(None) };
        let take = move |client: &Client| {
            let name = making.finish()?.name;
            let object = client.get(&name);
            client.delete(&name)?;
            object?.table()
        };
        self.door.ask(take).await.map(Some)
    }

    /// Takes a message that was read by somebody else.
    pub(crate) async fn message(&mut self, data: FlightData) -> Result<(), Status> {
        if let Some(descriptor) = &data.flight_descriptor {
            self.descriptor(&descriptor.encode_to_vec())?;
        }
        self.handle(Event::Header(data.data_header)).await?;
        self.handle(Event::AppMetadata(data.app_metadata)).await?;
        self.handle(Event::Body(data.data_body.len())).await?;
        self.handle(Event::Chunk(data.data_body)).await?;
        self.handle(Event::End).await
    }

    /// Seals what has come; of an upload of several steps nothing is sealed yet.
    pub(crate) async fn finish(mut self) -> Result<Option<Info>, Status> {
        let Some(making) = self.making.take() else {
            return Err(Status::invalid_argument("an upload without a schema"));
        };
        if let Some(step) = self.step.take() {
            step.rest(Begun::Making(Box::new(making)));
            return Ok(None);
        }
        self.door.ask(move |_| making.finish()).await.map(Some)
    }

    async fn handle(&mut self, event: Event) -> Result<(), Status> {
        match event {
            Event::Descriptor(bytes) => self.descriptor(&bytes),
            Event::Header(bytes) => {
                self.before_body("data header")?;
                self.incoming.header = Some(bytes);
                Ok(())
            }
            Event::AppMetadata(bytes) => {
                self.before_body("application metadata")?;
                self.incoming.app_metadata = bytes;
                Ok(())
            }
            Event::Body(len) => self.begin_body(len).await,
            Event::Chunk(bytes) => self.chunk(&bytes),
            Event::End => self.end().await,
        }
    }

    fn descriptor(&mut self, bytes: &[u8]) -> Result<(), Status> {
        let descriptor = FlightDescriptor::decode(bytes).map_err(|error| {
            Status::invalid_argument(format!("the descriptor is not sound: {error}"))
        })?;
        if self.target.is_none() {
            if let Some(command) = sql::command(&descriptor.cmd)? {
                return self.sql(command);
            }
            self.right.to_write()?;
            self.target = Some(Target::new(&descriptor, &self.headers)?);
        } else if options::gives_up(&descriptor) {
            return Err(options::given_up());
        }
        Ok(())
    }

    /// What comes are rows for a command of Flight SQL.
    fn sql(&mut self, command: Command) -> Result<(), Status> {
        let update = Update::new(command)?;
        match update.only_reads() {
            true if self.right.to_write().is_err() => self.left = MOST_OF_READERS,
            true => {}
            false => self.right.to_write()?,
        }
        self.sql = Some(update);
        self.target = Some(Target::passing());
        // The answer to these is one: what came of it.
        self.acks = None;
        Ok(())
    }

    /// A body goes to its place as it comes, so what decides on the place must have come.
    fn before_body(&self, what: &str) -> Result<(), Status> {
        match self.incoming.body {
            Place::Placed { .. } => Err(Status::invalid_argument(format!(
                "the {what} of a message must come before its body"
            ))),
            _ => Ok(()),
        }
    }

    async fn begin_body(&mut self, len: usize) -> Result<(), Status> {
        self.left = self.left.checked_sub(len).ok_or_else(|| {
            Status::permission_denied(format!(
                "{MOST_OF_READERS} bytes of parameters, the most of a client that may only read"
            ))
        })?;
        if let Place::Placed { .. } = self.incoming.body {
            return Err(Status::invalid_argument("a message with two bodies"));
        }
        self.incoming.body = match self.intake(len)? {
            Some(Intake::Placed(place)) => self.make_room(place).await?,
            _ if len > MOST_GATHERED => {
                return Err(Status::resource_exhausted(format!(
                    "a body of {len} bytes that must be decoded; the most is {MOST_GATHERED}: send \
                     smaller batches"
                )));
            }
            _ => Place::Gathered(MutableBuffer::new(0)),
        };
        Ok(())
    }

    /// What is to be done with the body; nothing is known of one whose header has not come.
    fn intake(&mut self, len: usize) -> Result<Option<Intake>, Status> {
        let (Some(making), Some(header)) = (&mut self.making, &self.incoming.header) else {
            return Ok(None);
        };
        let metadata = kept(&self.incoming.app_metadata);
        let intake = making.intake(header, len, &metadata);
        intake.map(Some).map_err(|error| status::of(&error))
    }

    async fn make_room(&mut self, place: Placement) -> Result<Place, Status> {
        let Some(mut making) = self.making.take() else {
            return Err(Status::internal("a place without a draft"));
        };
        let place = if making.has_room(&place) {
            making.room(&place).map_err(|error| status::of(&error))?;
            place
        } else {
            // Asks the store for more, which prepares it.
            let (back, place) = self
                .door
                .ask(move |_| {
                    making.room(&place)?;
                    Ok((making, place))
                })
                .await?;
            making = back;
            place
        };
        self.making = Some(making);
        Ok(Place::Placed { place, at: 0, run: 0 })
    }

    fn chunk(&mut self, mut bytes: &[u8]) -> Result<(), Status> {
        match &mut self.incoming.body {
            Place::None => {}
            Place::Gathered(gathered) => {
                #[cfg(test)]
                (self.copied.1 += bytes.len());
                gathered.extend_from_slice(bytes);
            }
            Place::Placed { place, at, run } => {
                let Some(making) = &mut self.making else {
                    return Err(Status::internal("a place without a draft"));
                };
                while let Some(next) = place.runs().get(*run).copied() {
                    // What lies between two runs is padding.
                    let skipped = next.source.saturating_sub(*at).min(bytes.len());
                    bytes = &bytes[skipped..];
                    *at += skipped;
                    if bytes.is_empty() {
                        return Ok(());
                    }
                    let done = *at - next.source;
                    let now = (next.len - done).min(bytes.len());
                    making.fill(place, next.target + done, &bytes[..now]);
                    #[cfg(test)]
                    (self.copied.0 += now);
                    bytes = &bytes[now..];
                    *at += now;
                    *run += usize::from(done + now == next.len);
                }
                *at += bytes.len();
            }
        }
        Ok(())
    }

    async fn end(&mut self) -> Result<(), Status> {
        let Incoming { header, app_metadata, body } = std::mem::take(&mut self.incoming);
        let Some(header) = header.filter(|header| !header.is_empty()) else {
            // Metadata alone, or a descriptor alone: Flight allows both.
            return match self.making {
                Some(_) if !app_metadata.is_empty() => self.acknowledge(&app_metadata).await,
                _ => Ok(()),
            };
        };
        let is_batch = match (self.making.take(), body) {
            (None, _) => {
                self.making = Some(self.begin(header).await?);
                false
            }
            (Some(making), Place::Placed { .. }) => {
                self.making = Some(making);
                true
            }
            (Some(making), body) => {
                let body = match body {
                    Place::Gathered(gathered) => gathered.into(),
                    _ => Buffer::default(),
                };
                let (making, is_batch) = self.whole(making, header, body, &app_metadata).await?;
                self.making = Some(making);
                is_batch
            }
        };
        if is_batch { self.acknowledge(&app_metadata).await } else { Ok(()) }
    }

    async fn acknowledge(&self, app_metadata: &Bytes) -> Result<(), Status> {
        match &self.acks {
            Some(acks) => acks.send(app_metadata).await,
            None => Ok(()),
        }
    }

    /// The first message: the schema, with which the draft begins.
    async fn begin(&mut self, schema: Bytes) -> Result<Making, Status> {
        match self.target.clone() {
            Some(Target::Object(place)) => {
                self.door.wait(move |client| Making::new(client, &place, &schema)).await
            }
            Some(Target::Begun(id)) => {
                let (step, begun) = self.uploads.take(&id)?;
                self.step = Some(step);
                self.door.ask(move |_| Making::resume(begun, &schema)).await
            }
            None => Err(Status::invalid_argument(
                "the first message of an upload has a descriptor, which names the object",
            )),
        }
    }

    /// A message that was gathered: one that must be decoded, or one whose header came last.
    async fn whole(
        &mut self,
        mut making: Making,
        header: Bytes,
        body: Buffer,
        app_metadata: &Bytes,
    ) -> Result<(Making, bool), Status> {
        let metadata = kept(app_metadata);
        self.door
            .ask(move |_| {
                let is_batch = match making.intake(&header, body.len(), &metadata)? {
                    Intake::Whole => making.whole(&header, &body, &metadata)?,
                    Intake::Placed(place) => {
                        making.room(&place)?;
                        for run in place.runs() {
                            let bytes = &body[run.source..run.source + run.len];
                            making.fill(&place, run.target, bytes);
                        }
                        true
                    }
                };
                Ok((making, is_batch))
            })
            .await
    }
}

fn malformed(error: Malformed) -> Status {
    let message = format!("the upload can't be read: {error}");
    match error {
        Malformed::Compressed => Status::unimplemented(message),
        Malformed::TooLarge { .. } => Status::resource_exhausted(message),
        Malformed::CutOff => Status::aborted(message),
        Malformed::Protobuf(_) => Status::invalid_argument(message),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    use arrow_flight::encode::FlightDataEncoderBuilder;
    use futures_util::{StreamExt, TryStreamExt, stream};
    use sheaf_store::{ServeOptions, Server};

    use super::*;

    /// A batch with values of every width of alignment, and nulls.
    fn batch(rows: i64) -> RecordBatch {
        let numbers: ArrayRef =
            Arc::new(Int64Array::from_iter((0..rows).map(|row| (row % 3 > 0).then_some(row))));
        let texts: ArrayRef =
            Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("row {row}"))));
        RecordBatch::try_from_iter_with_nullable([("n", numbers, true), ("s", texts, false)])
            .unwrap()
    }

    /// Every byte of a body is copied once, from the frame that brought it to where it stays.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_body_is_copied_once_however_it_comes() {
        let folder = tempfile::tempdir().unwrap();
        let options = ServeOptions::new(folder.path().join("store.sock"), 64 << 20);
        let server = Server::spawn(options).unwrap();
        let client = sheaf_store::connect(&server.url()).unwrap();
        let batches = [batch(100_000), batch(7), batch(50_000)];
        let descriptor = FlightDescriptor::new_path(vec!["t".into()]);
        let encoder = FlightDataEncoderBuilder::new()
            .with_flight_descriptor(Some(descriptor))
            .with_max_flight_data_size(usize::MAX)
            .build(stream::iter(batches.clone()).map(Ok));
        let messages: Vec<FlightData> = encoder.try_collect().await.unwrap();
        let bodies: usize = messages.iter().map(|message| message.data_body.len()).sum();

        let mut upload = {
            let uploads = Uploads::new(1, Duration::from_secs(60));
            Upload::new(Door::new(client.clone()), uploads, HeaderMap::new(), None, Right::Write)
        };
        let mut parser = Parser::new(Limits::default());
        for (number, message) in messages.iter().enumerate() {
            let mut wire = vec![0];
            wire.extend_from_slice(&(message.encoded_len() as u32).to_be_bytes());
            wire.extend_from_slice(&message.encode_to_vec());
            for frame in wire.chunks(10_000 + 7 * number) {
                let mut frame = Bytes::copy_from_slice(frame);
                let lies = frame.as_ptr_range();
                while let Some(event) = parser.next(&mut frame).unwrap() {
                    if let Event::Chunk(bytes) = &event {
                        let chunk = bytes.as_ptr_range();
                        assert!(lies.start <= chunk.start && chunk.end <= lies.end, "a copy");
                    }
                    upload.handle(event).await.unwrap();
                }
            }
        }
        let (placed, elsewhere) = upload.copied;
        upload.finish().await.unwrap();

        assert_eq!(elsewhere, 0, "nothing is gathered first");
        let padding = bodies - placed;
        assert!(padding < 64 * 5 * batches.len(), "{placed} of {bodies} bytes");
        let stored = client.get("t").unwrap().table().unwrap();
        assert_eq!(stored.batches().collect::<Result<Vec<_>, _>>().unwrap(), batches);
    }
}

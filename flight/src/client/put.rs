//! Putting over the far door: batches become messages, and messages an upload.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use arrow_array::RecordBatch;
use arrow_buffer::{Buffer, MutableBuffer};
use arrow_flight::{FlightData, FlightDescriptor, PutResult};
use arrow_schema::SchemaRef;
use futures_util::Stream;
use http::uri::PathAndQuery;
use prost::Message;
use sheaf_ipc::{File, Plan};
use sheaf_store::{Error, Info, Kind, Name, PutOptions, Result, Writer};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::client::Grpc;
use tonic::codec::{Codec, EncodeBuf, Encoder};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use super::link::{Link, Transport};
use crate::facts;
use crate::front::DO_PUT;
use crate::get::{self, opaque};
use crate::put;

/// Messages that wait to be sent.
const AHEAD: usize = 2;

/// An upload in progress: a table's, batch by batch. Nothing is left of one that is dropped.
pub(super) struct FarWriter {
    link: Arc<Link>,
    schema: SchemaRef,
    /// The bytes of what was sent.
    sent: u64,
    /// Goes with the first message.
    descriptor: Option<FlightDescriptor>,
    sender: mpsc::Sender<Upload>,
    call: Option<JoinHandle<Result<Info, Status>>>,
}

/// What goes through the channel.
#[derive(Debug)]
enum Upload {
    Message(Box<FlightData>),
    /// All was sent: the server may seal it.
    End,
    /// The writer has given it up: the stream breaks off, and the server keeps nothing.
    GivenUp,
}

impl FarWriter {
    /// Begins an upload with its schema.
    pub(super) fn begin(
        link: Arc<Link>,
        name: &Name,
        schema: SchemaRef,
        options: &PutOptions,
    ) -> Result<Self> {
        let metadata = options.metadata.clone();
        let descriptor = put::command(name, options);
        let (sender, messages) = mpsc::channel(AHEAD);
        let call =
            link.start(upload(link.transport(), Messages { messages, done: false }, metadata));
        let descriptor = Some(descriptor);
        let mut writer = Self { link, schema, sent: 0, descriptor, sender, call: Some(call) };
        let [schema] = &messages_of(&writer.schema, &[])?[..] else {
            return Err(Error::new(Kind::Internal, "a schema of several messages"));
        };
        writer.send(schema.clone())?;
        Ok(writer)
    }

    /// Sends batches as one file has them: with one dictionary for each column.
    pub(super) fn write_all(&mut self, batches: &[RecordBatch]) -> Result<()> {
        for message in messages_of(&self.schema, batches)?.into_iter().skip(1) {
            self.send(message)?;
        }
        Ok(())
    }

    fn send(&mut self, mut message: FlightData) -> Result<()> {
        message.flight_descriptor = self.descriptor.take();
        self.sent += (message.data_header.len() + message.data_body.len()) as u64;
        self.push(Upload::Message(Box::new(message)))
    }

    fn push(&mut self, upload: Upload) -> Result<()> {
        let sender = self.sender.clone();
        let sent = self.link.block(async move { Ok(sender.send(upload).await.is_ok()) })?;
        // The server has ended the upload, and says why.
        if sent { Ok(()) } else { self.outcome().map(|_| ()) }
    }

    fn outcome(&mut self) -> Result<Info> {
        let Some(call) = self.call.take() else {
            return Err(Error::new(Kind::Invalid, "the upload has ended already"));
        };
        self.link.block(async move {
            call.await.unwrap_or_else(|error| Err(Status::internal(error.to_string())))
        })
    }

    /// Seals what was sent.
    pub(super) fn seal(mut self) -> Result<Info> {
        self.push(Upload::End)?;
        self.outcome()
    }
}

impl Writer for FarWriter {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.write_all(std::slice::from_ref(batch))
    }

    fn nbytes(&self) -> u64 {
        self.sent
    }

    fn finish(self: Box<Self>) -> Result<Info> {
        self.seal()
    }

    fn abort(mut self: Box<Self>) -> Result<()> {
        self.descriptor = Some(put::abort_command());
        let told = self.send(FlightData::default()).and_then(|()| self.outcome());
        match told {
            Err(error) if error.kind() == Kind::WriterGone => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(Error::new(Kind::Internal, "what was given up was sealed")),
        }
    }
}

/// The messages of a call; they end only when the writer says so, and else break off.
struct Messages {
    messages: mpsc::Receiver<Upload>,
    done: bool,
}

impl Stream for Messages {
    type Item = Upload;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Upload>> {
        if self.done {
            return Poll::Ready(None);
        }
        let next = ready!(self.messages.poll_recv(cx)).unwrap_or(Upload::GivenUp);
        self.done = !matches!(next, Upload::Message(_));
        Poll::Ready(Some(next).filter(|next| !matches!(next, Upload::End)))
    }
}

/// Messages of Flight that way, acknowledgements this way. Tonic's own codec can't break off.
struct UploadCodec;

impl Codec for UploadCodec {
    type Encode = Upload;
    type Decode = PutResult;
    type Encoder = Self;
    type Decoder = <ProstCodec<FlightData, PutResult> as Codec>::Decoder;

    fn encoder(&mut self) -> Self::Encoder {
        Self
    }

    fn decoder(&mut self) -> Self::Decoder {
        ProstCodec::<FlightData, PutResult>::default().decoder()
    }
}

impl Encoder for UploadCodec {
    type Item = Upload;
    type Error = Status;

    fn encode(&mut self, upload: Upload, target: &mut EncodeBuf<'_>) -> Result<(), Status> {
        match upload {
            Upload::Message(message) => message
                .encode(target)
                .map_err(|error| Status::internal(format!("a message is not written: {error}"))),
            Upload::End | Upload::GivenUp => Err(Status::cancelled("the upload was given up")),
        }
    }
}

/// One call of `DoPut`, to its end.
async fn upload(
    transport: Transport,
    messages: Messages,
    metadata: Vec<u8>,
) -> Result<Info, Status> {
    let mut request = Request::new(messages);
    facts::ask(request.metadata_mut());
    let mut calls = Grpc::new(transport).max_encoding_message_size(usize::MAX);
    calls.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let path = PathAndQuery::from_static(DO_PUT);
    let mut results = calls.streaming(request, path, UploadCodec).await?.into_inner();
    while results.message().await?.is_some() {}
    let trailers = results.trailers().await?.unwrap_or_default();
    let mut info = facts::take(trailers.as_ref())?.into_info()?;
    info.metadata = metadata.into();
    Ok(info)
}

/// Schema, dictionaries and batches, as a server would send them.
fn messages_of(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Vec<FlightData>> {
    let plan = Plan::new(schema, batches)?;
    let mut bytes = MutableBuffer::from_len_zeroed(plan.len());
    plan.fill(bytes.as_slice_mut(), 1);
    // SAFETY: the plan has written a sound file, and nobody writes to it any more.
    let file = unsafe { File::open_trusted(bytes.into()) }?;
    let messages = get::table_messages(file).map(|message| message.map(get::Outgoing::into_data));
    messages.collect::<Result<_, _>>().map_err(|status| crate::status::to_error(&status))
}

/// Opaque bytes as batches of one chunk each.
pub(super) fn chunks(bytes: &[u8]) -> impl Iterator<Item = Result<RecordBatch>> {
    bytes.chunks(opaque::CHUNK_BYTES).map(|chunk| {
        opaque::batch(Buffer::from(chunk))
            .map_err(|error| Error::new(Kind::Internal, "a chunk of bytes").because(error))
    })
}

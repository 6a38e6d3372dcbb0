//! Messages of `FlightData` out of the bytes of an HTTP/2 stream, as they come.
//!
//! ```text
//! 00 │ length │ tag │ … fields … │ 00 │ length │ …
//! └── gRPC ───┘ └── protobuf ────┘
//! ```
//!
//! The body of a message, its last and by far its largest field, is handed on in the pieces in
//! which it arrives; the small fields are gathered. Whatever the bytes are, and however they are
//! cut, the outcome is an event or an error, and what is kept is bounded by [`Limits`].
//!
//! No I/O happens here, and nothing is known of Arrow.

use bytes::{Buf, Bytes, BytesMut};

/// What a message may take, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The flatbuffer.
    pub(crate) header: usize,
    /// The application metadata.
    pub(crate) app_metadata: usize,
    /// The descriptor.
    pub(crate) descriptor: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { header: 64 << 20, app_metadata: 256 << 10, descriptor: 64 << 10 }
    }
}

/// What a piece of the stream amounts to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The descriptor, as protobuf has it.
    Descriptor(Bytes),
    /// The flatbuffer.
    Header(Bytes),
    /// The application metadata.
    AppMetadata(Bytes),
    /// The body begins, and has this many bytes.
    Body(usize),
    /// More of the body, never more than was announced.
    Chunk(Bytes),
    /// The message is over: what came last counts.
    End,
}

/// Why a stream can't be read on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error(
        "compressed messages are not read: send them uncompressed (Arrow's own compression is)"
    )]
    Compressed,
    #[error("the {what} takes {len} bytes; the most is {most}")]
    TooLarge { what: &'static str, len: u64, most: usize },
    #[error("a message that is no FlightData: {0}")]
    Protobuf(&'static str),
    #[error("the stream ends in the middle of a message")]
    CutOff,
}

/// A field that is read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Descriptor,
    Header,
    AppMetadata,
    Body,
    Unknown,
}

#[derive(Debug)]
enum State {
    /// Before a message: gRPC's five bytes, as far as they came.
    Prefix,
    /// Before a field: its tag.
    Tag,
    /// A number that nobody needs.
    Number,
    /// The length of a field.
    Length(Field),
    /// Inside a field: so many bytes are missing.
    Inside(Field, usize),
}

/// Reads a stream, piece by piece.
#[derive(Debug)]
pub(crate) struct Parser {
    limits: Limits,
    state: State,
    /// What of a prefix, a number or a small field has come.
    partial: BytesMut,
    /// How much of the message is missing.
    left: usize,
}

/// The bytes that a number may take.
const MOST_NUMBER_BYTES: usize = 10;

const PREFIX_BYTES: usize = 5;

impl Parser {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, state: State::Prefix, partial: BytesMut::new(), left: 0 }
    }

    /// The next event in `input`, which is used up as far as it goes; none when more is needed.
    pub(crate) fn next(&mut self, input: &mut Bytes) -> Result<Option<Event>, Malformed> {
        loop {
            match self.state {
                State::Prefix => {
                    if !self.gather(input, PREFIX_BYTES) {
                        return Ok(None);
                    }
                    let prefix = self.partial.split();
                    if prefix[0] != 0 {
                        return Err(Malformed::Compressed);
                    }
                    let len = [prefix[1], prefix[2], prefix[3], prefix[4]];
                    self.left = u32::from_be_bytes(len) as usize;
                    self.state = State::Tag;
                }
                State::Tag if self.left == 0 => {
                    if !self.partial.is_empty() {
                        return Err(Malformed::Protobuf("it ends inside a tag"));
                    }
                    self.state = State::Prefix;
                    return Ok(Some(Event::End));
                }
                State::Tag => match self.number(input)? {
                    Some(tag) => self.begin(tag)?,
                    None => return Ok(None),
                },
                State::Number => match self.number(input)? {
                    Some(_) => self.state = State::Tag,
                    None => return Ok(None),
                },
                State::Length(field) => match self.number(input)? {
                    Some(len) => {
                        let len = self.check(field, len)?;
                        self.state = State::Inside(field, len);
                        if field == Field::Body {
                            return Ok(Some(Event::Body(len)));
                        }
                    }
                    None => return Ok(None),
                },
                State::Inside(field, missing) => match self.inside(field, missing, input) {
                    Step::Event(event) => return Ok(Some(event)),
                    Step::More => {}
                    Step::Starved => return Ok(None),
                },
            }
        }
    }

    /// Whether the stream may end here.
    pub(crate) fn finish(&self) -> Result<(), Malformed> {
        let between = matches!(self.state, State::Prefix) && self.partial.is_empty();
        if between { Ok(()) } else { Err(Malformed::CutOff) }
    }

    /// Gathers what of `len` bytes is missing; whether they are there.
    fn gather(&mut self, input: &mut Bytes, len: usize) -> bool {
        let now = input.len().min(len - self.partial.len());
        self.partial.extend_from_slice(&input[..now]);
        input.advance(now);
        self.partial.len() == len
    }

    /// A number within the message, of seven bits a byte.
    fn number(&mut self, input: &mut Bytes) -> Result<Option<u64>, Malformed> {
        while !input.is_empty() {
            if self.left == 0 {
                return Err(Malformed::Protobuf("it ends inside a number"));
            }
            if self.partial.len() == MOST_NUMBER_BYTES {
                return Err(Malformed::Protobuf("a number of more than ten bytes"));
            }
            let byte = input.get_u8();
            self.left -= 1;
            self.partial.extend_from_slice(&[byte]);
            if byte & 0x80 == 0 {
                let bytes = self.partial.split();
                let parts = bytes.iter().enumerate().map(|(at, byte)| {
                    u64::from(byte & 0x7f).checked_shl(7 * at as u32).unwrap_or(0)
                });
                return Ok(Some(parts.fold(0, |number, part| number | part)));
            }
        }
        Ok(None)
    }

    fn begin(&mut self, tag: u64) -> Result<(), Malformed> {
        let (number, wire) = (tag >> 3, tag & 7);
        self.state = match (number, wire) {
            (0, _) => return Err(Malformed::Protobuf("a field of number 0")),
            (1, 2) => State::Length(Field::Descriptor),
            (2, 2) => State::Length(Field::Header),
            (3, 2) => State::Length(Field::AppMetadata),
            (1000, 2) => State::Length(Field::Body),
            (1 | 2 | 3 | 1000, _) => {
                return Err(Malformed::Protobuf("a field of another type than it has"));
            }
            (_, 0) => State::Number,
            (_, 1) => State::Inside(Field::Unknown, self.within(8)?),
            (_, 2) => State::Length(Field::Unknown),
            (_, 5) => State::Inside(Field::Unknown, self.within(4)?),
            _ => return Err(Malformed::Protobuf("a field of a type that is not known")),
        };
        Ok(())
    }

    /// The length of a field, if it fits into the message and its limit.
    fn check(&self, field: Field, len: u64) -> Result<usize, Malformed> {
        let (what, most) = match field {
            Field::Descriptor => ("descriptor", self.limits.descriptor),
            Field::Header => ("data header", self.limits.header),
            Field::AppMetadata => ("application metadata", self.limits.app_metadata),
            Field::Body | Field::Unknown => ("message", usize::MAX),
        };
        if len > most as u64 {
            return Err(Malformed::TooLarge { what, len, most });
        }
        self.within(len)
    }

    fn within(&self, len: u64) -> Result<usize, Malformed> {
        let fits = usize::try_from(len).ok().filter(|len| *len <= self.left);
        fits.ok_or(Malformed::Protobuf("a field is longer than its message"))
    }

    fn inside(&mut self, field: Field, missing: usize, input: &mut Bytes) -> Step {
        if missing > 0 && input.is_empty() {
            return Step::Starved;
        }
        let piece = input.split_to(missing.min(input.len()));
        let missing = missing - piece.len();
        self.left -= piece.len();
        self.state = if missing == 0 { State::Tag } else { State::Inside(field, missing) };
        let whole = |gathered: BytesMut| gathered.freeze();
        match field {
            Field::Unknown => Step::More,
            Field::Body if piece.is_empty() => Step::More,
            Field::Body => Step::Event(Event::Chunk(piece)),
            _ => {
                self.partial.extend_from_slice(&piece);
                if missing > 0 {
                    return Step::More;
                }
                let bytes = whole(self.partial.split());
                Step::Event(match field {
                    Field::Descriptor => Event::Descriptor(bytes),
                    Field::Header => Event::Header(bytes),
                    _ => Event::AppMetadata(bytes),
                })
            }
        }
    }
}

enum Step {
    Event(Event),
    More,
    Starved,
}

/// For the fuzzer: whatever comes, however it is cut, nothing panics and nothing is made up.
#[cfg(fuzzing)]
pub mod fuzzing {
    use super::*;

    /// Reads the bytes in pieces of these lengths, again and again, and the rest at once.
    pub fn flight_data(bytes: &[u8], lengths: &[u8]) {
        let mut parser = Parser::new(Limits::default());
        let (mut rest, mut left) = (Bytes::copy_from_slice(bytes), 0);
        let mut lengths = lengths.iter().map(|len| usize::from(*len) + 1);
        while !rest.is_empty() {
            let now = lengths.next().unwrap_or(usize::MAX).min(rest.len());
            let mut piece = rest.split_to(now);
            loop {
                match parser.next(&mut piece) {
                    Ok(None) => break,
                    Ok(Some(Event::Body(len))) => left = len,
                    Ok(Some(Event::Chunk(chunk))) => {
                        assert!(chunk.len() <= left, "more of a body than was announced");
                        left -= chunk.len();
                    }
                    Ok(Some(Event::End)) => assert_eq!(left, 0, "a body that is cut off"),
                    Ok(Some(_)) => {}
                    Err(_) => return,
                }
            }
            assert!(piece.is_empty(), "a piece that is not used up");
        }
        let _ = parser.finish();
    }
}

#[cfg(test)]
mod tests {
    use arrow_flight::{FlightData, FlightDescriptor};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    /// What a message amounts to, its pieces joined.
    #[derive(Debug, Default, PartialEq, Clone)]
    struct Read {
        descriptor: Vec<u8>,
        header: Vec<u8>,
        app_metadata: Vec<u8>,
        body: Vec<u8>,
    }

    fn read(pieces: &[Bytes]) -> (Vec<Read>, Result<(), Malformed>) {
        let mut parser = Parser::new(Limits::default());
        let (mut all, mut now, mut announced) = (Vec::new(), Read::default(), 0);
        for piece in pieces {
            let mut piece = piece.clone();
            loop {
                match parser.next(&mut piece) {
                    Ok(None) => break,
                    Err(error) => return (all, Err(error)),
                    Ok(Some(Event::Descriptor(bytes))) => now.descriptor = bytes.to_vec(),
                    Ok(Some(Event::Header(bytes))) => now.header = bytes.to_vec(),
                    Ok(Some(Event::AppMetadata(bytes))) => now.app_metadata = bytes.to_vec(),
                    Ok(Some(Event::Body(len))) => {
                        now.body.clear();
                        announced = len;
                    }
                    Ok(Some(Event::Chunk(bytes))) => now.body.extend_from_slice(&bytes),
                    Ok(Some(Event::End)) => {
                        assert_eq!(now.body.len(), announced);
                        announced = 0;
                        all.push(std::mem::take(&mut now));
                    }
                }
            }
            assert!(piece.is_empty(), "all of a piece is used");
        }
        (all, parser.finish())
    }

    fn cut(bytes: &[u8], cuts: &[usize]) -> Vec<Bytes> {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        cuts.windows(2).map(|cut| Bytes::copy_from_slice(&bytes[cut[0]..cut[1]])).collect()
    }

    fn framed(message: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend_from_slice(&(message.len() as u32).to_be_bytes());
        bytes.extend_from_slice(message);
        bytes
    }

    fn data() -> impl Strategy<Value = FlightData> {
        let bytes = || vec(any::<u8>(), 0..300);
        (any::<bool>(), bytes(), bytes(), bytes()).prop_map(|(first, header, app, body)| {
            FlightData {
                flight_descriptor: first.then(|| FlightDescriptor::new_cmd("c")),
                data_header: header.into(),
                app_metadata: app.into(),
                data_body: body.into(),
            }
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn messages_are_read_however_they_are_cut(
            messages in vec(data(), 0..5),
            cuts in vec(any::<usize>(), 0..40),
        ) {
            let stream: Vec<u8> =
                messages.iter().flat_map(|data| framed(&data.encode_to_vec())).collect();

            let (read, end) = read(&cut(&stream, &cuts));

            prop_assert_eq!(end, Ok(()));
            let meant: Vec<Read> = messages
                .iter()
                .map(|data| Read {
                    descriptor: data
                        .flight_descriptor
                        .as_ref()
                        .map(Message::encode_to_vec)
                        .unwrap_or_default(),
                    header: data.data_header.to_vec(),
                    app_metadata: data.app_metadata.to_vec(),
                    body: data.data_body.to_vec(),
                })
                .collect();
            prop_assert_eq!(read, meant);
        }

        #[test]
        fn any_bytes_mean_the_same_however_they_are_cut(
            mut bytes in vec(any::<u8>(), 0..400),
            cuts in vec(any::<usize>(), 0..40),
        ) {
            if let Some(first) = bytes.first_mut() {
                *first = 0;
            }
            let whole = read(&[Bytes::from(bytes.clone())]);
            let pieces = read(&cut(&bytes, &cuts));
            prop_assert_eq!(whole, pieces);
        }
    }

    #[test]
    fn unknown_fields_are_passed_over_and_the_last_of_a_kind_counts() {
        let mut message = vec![0x20, 0x96, 0x01]; // 4: a number
        message.extend_from_slice(&[0x29, 1, 2, 3, 4, 5, 6, 7, 8]); // 5: eight bytes
        message.extend_from_slice(&[0x32, 2, 9, 9]); // 6: a string
        message.extend_from_slice(&[0x3d, 1, 2, 3, 4]); // 7: four bytes
        message.extend_from_slice(&[0xc2, 0x3e, 1, 7, 0xc2, 0x3e, 2, 8, 9]); // the body, twice
        message.extend_from_slice(&[0x12, 1, 1, 0x12, 1, 2]); // the header, twice

        let (read, end) = read(&[framed(&message).into()]);

        assert_eq!(end, Ok(()));
        assert_eq!((&read[0].header[..], &read[0].body[..]), (&[2][..], &[8, 9][..]));
    }

    #[test]
    fn what_is_no_flight_data_is_malformed() {
        for message in [
            &[0x02, 0][..], // field 0
            &[0x10, 1],     // the header as a number
            &[0x12, 5, 1],  // longer than its message
            &[0x13],        // a group
            &[0x12],        // no length
            &[0xff; 12],    // no end to a tag
        ] {
            let (_, end) = read(&[framed(message).into()]);
            assert!(matches!(end, Err(Malformed::Protobuf(_) | Malformed::CutOff)), "{message:?}");
        }
        let (_, end) = read(&[Bytes::from_static(&[1, 0, 0, 0, 0])]);
        assert_eq!(end, Err(Malformed::Compressed));
        let (_, end) = read(&[Bytes::from_static(&[0, 0, 0, 0, 9, 0x12])]);
        assert_eq!(end, Err(Malformed::CutOff));
    }

    #[test]
    fn a_field_over_its_limit_is_refused_before_it_comes() {
        let mut message = vec![0, 0xff, 0xff, 0xff, 0xff, 0x1a];
        message.extend_from_slice(&[0x80, 0x80, 0x80, 0x01]); // 2 MiB of metadata

        let (_, end) = read(&[message.into()]);

        let most = Limits::default().app_metadata;
        let what = "application metadata";
        assert_eq!(end, Err(Malformed::TooLarge { what, len: 2 << 20, most }));
    }
}

//! A whole file, measured before the first byte is written.

use std::mem::MaybeUninit;
use std::sync::Mutex;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;

use crate::copy::{self, Copy, Way};
use crate::{Encoder, Error, Metadata, Result};

/// What one thread copies at a time: enough to make the hand-over cheap, little enough to
/// share the work evenly. A multiple of the alignment.
const PIECE: usize = 4 << 20;

/// An Arrow IPC file of known batches: how long it is, and how to write it.
#[derive(Debug, Clone)]
pub struct Plan {
    copies: Vec<Copy>,
    len: usize,
}

impl Plan {
    /// Plans a file of `batches`, which all have the columns of `schema`.
    ///
    /// # Errors
    /// As [`Encoder::new`] and [`Encoder::push`].
    pub fn new(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Self> {
        Self::encode(schema, Metadata::new(), batches.iter().map(|batch| (batch, None)))
    }

    /// Plans a file that has metadata of its own, and so may each batch: `batch_metadata` is
    /// empty or has one entry per batch.
    ///
    /// # Errors
    /// As [`Plan::new`]; [`Kind::Invalid`](crate::Kind::Invalid) if the numbers of batches and
    /// of their metadata differ.
    pub fn with_metadata(
        schema: &SchemaRef,
        metadata: Metadata,
        batches: &[RecordBatch],
        batch_metadata: &[Metadata],
    ) -> Result<Self> {
        if !batch_metadata.is_empty() && batch_metadata.len() != batches.len() {
            return Err(Error::invalid(format!(
                "{} batches have {} metadata: give none or one for each",
                batches.len(),
                batch_metadata.len()
            )));
        }
        let pairs = batches.iter().enumerate().map(|(i, batch)| (batch, batch_metadata.get(i)));
        Self::encode(schema, metadata, pairs)
    }

    fn encode<'a>(
        schema: &SchemaRef,
        metadata: Metadata,
        batches: impl Iterator<Item = (&'a RecordBatch, Option<&'a Metadata>)>,
    ) -> Result<Self> {
        let mut encoder = Encoder::new(schema.clone())?.with_metadata(metadata);
        let mut copies = encoder.start().into_copies();
        let none = Metadata::new();
        for (batch, metadata) in batches {
            copies.extend(encoder.push_with(batch, metadata.unwrap_or(&none))?.into_copies());
        }
        copies.extend(encoder.finish()?.into_copies());
        let len = copies.iter().map(Copy::len).sum();
        Ok(Self { copies, len })
    }

    /// How many bytes the file has, exactly.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the file has no bytes: none has.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Writes the file, every byte of it, with up to `threads` threads.
    ///
    /// # Panics
    /// If `target` is not [`len`](Self::len) bytes long.
    pub fn write(&self, target: &mut [MaybeUninit<u8>], threads: usize) {
        assert_eq!(target.len(), self.len, "the target is as long as the file");
        let threads = threads.min(self.len.div_ceil(PIECE));
        let way = Way::of(self.len);
        if threads <= 1 {
            copy::write(&self.copies, 0, target, way);
            return;
        }

        let pieces = Mutex::new(self.pieces(target).into_iter());
        std::thread::scope(|scope| {
            let work = || {
                loop {
                    // A thread that panicked took its piece with it: the rest is still whole.
                    let next =
                        pieces.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).next();
                    let Some(piece) = next else { return };
                    copy::write(piece.copies, piece.start, piece.target, way);
                }
            };
            for _ in 1..threads {
                scope.spawn(work);
            }
            work();
        });
    }

    /// Cuts the target into pieces, each with the copies that fill it.
    fn pieces<'a>(&'a self, target: &'a mut [MaybeUninit<u8>]) -> Vec<Piece<'a>> {
        let mut pieces = Vec::with_capacity(self.len.div_ceil(PIECE));
        let (mut first, mut start) = (0, 0);
        for target in target.chunks_mut(PIECE) {
            let mut left = target.len();
            pieces.push(Piece { copies: &self.copies[first..], start, target });
            while left > 0 {
                let rest = self.copies[first].len() - start;
                if rest > left {
                    start += left;
                    break;
                }
                left -= rest;
                (first, start) = (first + 1, 0);
            }
        }
        pieces
    }
}

/// A piece of the target and the copies that fill it, from byte `start` of the first on.
struct Piece<'a> {
    copies: &'a [Copy],
    start: usize,
    target: &'a mut [MaybeUninit<u8>],
}

//! Batches of an open file as smaller messages, for those who can't take large ones.
//!
//! ```text
//! batch    │ message │ validity │ values ················ │
//! piece 0  │ message'│ val      │ values ·····│
//! piece 1  │ message'│      val │             values ·····│
//! ```
//!
//! A piece is a range of rows. Its buffers are slices of the file; what a range of rows changes is
//! written anew: the message, offsets that do not start at zero, and the odd bitmap that does not
//! start at a byte. Ranges start at multiples of 64 rows, so that bitmaps need not be moved, unless
//! so few rows are too large already.

use std::ops::Range;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;

use crate::copy::Copy;
use crate::dictionary::Dictionaries;
use crate::walk::{Body, walk};
use crate::{Error, File, Metadata, Result, message};

/// Where pieces start if they can.
const ROW_STEP: usize = 64;

/// Cuts the batches of a file, in any order.
#[derive(Debug)]
pub struct Cutter {
    file: File,
    dictionaries: Dictionaries,
    /// The batch that was cut last: the next piece is mostly of the same one.
    last: Option<(usize, RecordBatch)>,
}

/// A message of its own, whose body lies in slices of the file and elsewhere.
#[derive(Debug, Clone)]
pub struct Piece {
    /// The rows of the batch that it has.
    pub rows: Range<usize>,
    /// Its flatbuffer, without prefix.
    pub header: Vec<u8>,
    /// Its body: runs of bytes, each with the number of zeros that follow it.
    pub body: Vec<(Buffer, usize)>,
    /// The length of its body, in bytes.
    pub body_len: usize,
}

impl Cutter {
    /// A cutter of this file.
    ///
    /// # Errors
    /// [`Kind::Unsupported`](crate::Kind::Unsupported) if the schema has a type that has no form
    /// as a message.
    pub fn new(file: &File) -> Result<Self> {
        let dictionaries = Dictionaries::new(file.schema())?;
        Ok(Self { file: file.clone(), dictionaries, last: None })
    }

    /// How many rows a batch has.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind::Invalid) if there is no such batch.
    pub fn num_rows(&mut self, index: usize) -> Result<usize> {
        Ok(self.batch(index)?.num_rows())
    }

    /// The next piece of a batch, from row `start` on: as many rows as go into a body of `most`
    /// bytes, and at least one. `metadata` is the message's own.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind::Invalid) if there is no such batch or row.
    pub fn piece(
        &mut self,
        index: usize,
        start: usize,
        most: usize,
        metadata: &Metadata,
    ) -> Result<Piece> {
        let batch = self.batch(index)?;
        let rows = batch.num_rows();
        if start > rows || (start == rows && rows > 0) {
            return Err(Error::invalid(format!(
                "batch {index} has {rows} rows, and no row {start}"
            )));
        }
        let mut count = rows - start;
        loop {
            let piece = self.rows(&batch, start..start + count, metadata)?;
            if piece.body_len <= most || count <= 1 {
                return Ok(piece);
            }
            count = fewer(count, piece.body_len, most);
        }
    }

    fn batch(&mut self, index: usize) -> Result<RecordBatch> {
        match &self.last {
            Some((last, batch)) if *last == index => Ok(batch.clone()),
            _ => {
                let batch = self.file.batch(index)?;
                self.last = Some((index, batch.clone()));
                Ok(batch)
            }
        }
    }

    fn rows(
        &mut self,
        batch: &RecordBatch,
        rows: Range<usize>,
        metadata: &Metadata,
    ) -> Result<Piece> {
        self.dictionaries.rewind();
        let mut body = Body::default();
        for column in batch.columns() {
            walk(&column.slice(rows.start, rows.len()), &mut body, &mut self.dictionaries)?;
        }
        let header = message::batch(rows.len(), &body.shape, metadata);
        let body_len = body.shape.body;
        let body = body.copies.iter().map(Copy::to_slice).collect();
        Ok(Piece { rows, header, body, body_len })
    }
}

/// How many rows to try after `count` of them took `took` bytes, where `most` are allowed.
fn fewer(count: usize, took: usize, most: usize) -> usize {
    // A little less than their share, since rows differ.
    let share = (count as u128 * most as u128 / took as u128) as usize;
    let next = share.min(count * 3 / 4).max(1);
    if next >= ROW_STEP { next - next % ROW_STEP } else { next }
}

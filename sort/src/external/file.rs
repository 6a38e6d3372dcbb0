//! An Arrow IPC file, written batch by batch.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use rustix::io::Errno;
use sheaf_ipc::{Encoder, Part};
use sheaf_store::{Error, Result};

/// What is gathered before it is written.
const BUFFER: usize = 1 << 20;

pub(super) struct ArrowFile<'a> {
    encoder: Encoder,
    out: BufWriter<&'a File>,
    /// What errors say it is written to.
    place: &'a Path,
}

impl<'a> ArrowFile<'a> {
    /// Starts a table of this schema.
    ///
    /// # Errors
    /// As [`failed`], for all of them; [`Kind::Invalid`](sheaf_store::Kind::Invalid) if a schema or
    /// a batch can't be written.
    pub(super) fn new(file: &'a File, place: &'a Path, schema: &SchemaRef) -> Result<Self> {
        let encoder = Encoder::new(schema.clone())?;
        let start = encoder.start();
        let mut new = Self { encoder, out: BufWriter::with_capacity(BUFFER, file), place };
        new.append(&start)?;
        Ok(new)
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let part = self.encoder.push(batch)?;
        self.append(&part)
    }

    pub(super) fn finish(self) -> Result<()> {
        let Self { encoder, mut out, place } = self;
        let written = encoder.finish()?.write_to(&mut out).and_then(|()| out.flush());
        written.map_err(|error| failed(place, &error))
    }

    fn append(&mut self, part: &Part) -> Result<()> {
        part.write_to(&mut self.out).map_err(|error| failed(self.place, &error))
    }
}

/// A file or folder that could not be written to: [`Kind::Full`](sheaf_store::Kind::Full) when the
/// disk is.
pub(super) fn failed(place: &Path, error: &std::io::Error) -> Error {
    let errno = Errno::from_io_error(error).unwrap_or(Errno::IO);
    Error::os(format!("the sort can't write to {}", place.display()), errno)
}

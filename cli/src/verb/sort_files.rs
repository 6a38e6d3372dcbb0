//! What a sort reads and writes, an object or a file.

use std::path::Path;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use sheaf_store::{Client, Name, Table, TableWriter};

use crate::error::{Error, Result};
use crate::format::{Format, ReadOptions, Source, Target, Writer, delimiter_of};
use crate::progress::{Measure, Progress};

/// Where rows come from.
pub(super) enum Input<'a> {
    Object(Table),
    File(Box<Source>, &'a Path),
}

impl<'a> Input<'a> {
    /// Opens the object, if there is one, or the file.
    pub(super) fn open(object: Option<(&Client, &Name)>, file: Option<&'a Path>) -> Result<Self> {
        match (object, file) {
            (Some((store, name)), _) => Ok(Self::Object(store.get(name.as_bytes())?.table()?)),
            (None, Some(path)) => {
                let source = Source::open(path, &ReadOptions::default())?;
                Ok(Self::File(Box::new(source), path))
            }
            (None, None) => Err(Error::usage("give the object's name, or --from FILE")),
        }
    }

    pub(super) fn schema(&self) -> SchemaRef {
        match self {
            Self::Object(table) => table.schema().clone(),
            Self::File(source, _) => source.schema.clone(),
        }
    }

    /// How much there is to read.
    pub(super) fn measure(&self) -> Measure {
        match self {
            Self::Object(table) => Measure::Rows(table.num_rows()),
            Self::File(source, _) => source.measure,
        }
    }

    /// The rows; the bar is told how many were read.
    pub(super) fn batches(self, bar: &Progress) -> impl Iterator<Item = Result<RecordBatch>> {
        let mut rows = 0;
        let mut next = 0;
        let mut input = self;
        std::iter::from_fn(move || {
            let batch = match &mut input {
                Self::Object(table) => {
                    let batch = (next < table.num_batches()).then(|| table.batch(next))?;
                    next += 1;
                    batch.map_err(Error::from)
                }
                Self::File(source, path) => {
                    source.batches.next()?.map_err(|error| Error::of(path)(error.into()))
                }
            };
            rows += batch.as_ref().map_or(0, |batch| batch.num_rows() as u64);
            match &input {
                Self::Object(_) => bar.set(rows),
                Self::File(source, _) => bar.set(source.position(rows)),
            }
            Some(batch)
        })
    }
}

/// Where rows go.
pub(super) enum Output {
    Object(Box<TableWriter>),
    File(Box<Writer<Target>>, String),
}

impl Output {
    /// A file, of the format that its name tells.
    pub(super) fn file(path: &Path, schema: &SchemaRef) -> Result<Self> {
        let format = Format::of(path)?;
        let target = Target::create(path)?;
        let writer = Writer::new(schema, format, delimiter_of(path, None), target)?;
        Ok(Self::File(Box::new(writer), path.display().to_string()))
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        match self {
            Self::Object(writer) => Ok(writer.write(batch)?),
            Self::File(writer, _) => writer.write(batch),
        }
    }

    /// What it is called, now that it is whole.
    pub(super) fn finish(self) -> Result<String> {
        match self {
            Self::Object(writer) => Ok(writer.finish()?.name.to_string()),
            Self::File(writer, path) => writer.finish()?.finish().map(|()| path),
        }
    }
}

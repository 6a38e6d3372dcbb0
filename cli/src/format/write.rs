//! Writes record batches in a format.

use std::io::Write;

use arrow_array::RecordBatch;
use arrow_ipc::writer::StreamWriter;
use arrow_json::LineDelimitedWriter;
use arrow_json::writer::{LineDelimited, WriterBuilder};
use arrow_schema::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use sheaf_ipc::Encoder;

use super::Format;
use crate::error::Result;

/// A table that is being written, batch by batch.
pub(crate) enum Writer<W: Write + Send> {
    /// As the store keeps it.
    Arrow(Box<Encoder>, W),
    Arrows(Box<StreamWriter<W>>),
    Parquet(Box<ArrowWriter<W>>),
    Csv(Box<arrow_csv::Writer<W>>),
    Jsonl(LineDelimitedWriter<W>),
}

impl<W: Write + Send> Writer<W> {
    /// Starts a table of this schema. `delimiter` is for CSV alone.
    pub(crate) fn new(
        schema: &SchemaRef,
        format: Format,
        delimiter: u8,
        mut out: W,
    ) -> Result<Self> {
        Ok(match format {
            Format::Arrow => {
                let encoder = Encoder::new(schema.clone()).map_err(sheaf_store::Error::from)?;
                encoder.start().write_to(&mut out)?;
                Self::Arrow(Box::new(encoder), out)
            }
            Format::Arrows => Self::Arrows(Box::new(StreamWriter::try_new(out, schema)?)),
            Format::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
                    .build();
                let writer = ArrowWriter::try_new(out, schema.clone(), Some(properties))?;
                Self::Parquet(Box::new(writer))
            }
            Format::Csv => {
                let builder = arrow_csv::WriterBuilder::new().with_delimiter(delimiter);
                let mut writer = builder.with_header(true).build(out);
                // A table without batches still has its header.
                writer.write(&RecordBatch::new_empty(schema.clone()))?;
                Self::Csv(Box::new(writer))
            }
            Format::Jsonl => {
                // Nulls are written out, or a reader could not tell which columns there are.
                let builder = WriterBuilder::new().with_explicit_nulls(true);
                Self::Jsonl(builder.build::<_, LineDelimited>(out))
            }
        })
    }

    /// Writes a batch.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        match self {
            Self::Arrow(encoder, out) => {
                encoder.push(batch).map_err(sheaf_store::Error::from)?.write_to(out)?;
            }
            Self::Arrows(writer) => writer.write(batch)?,
            Self::Parquet(writer) => writer.write(batch)?,
            Self::Csv(writer) => writer.write(batch)?,
            Self::Jsonl(writer) => writer.write(batch)?,
        }
        Ok(())
    }

    /// Writes what follows the batches, and gives back what was written to.
    pub(crate) fn finish(self) -> Result<W> {
        let mut out = match self {
            Self::Arrow(encoder, mut out) => {
                encoder.finish().map_err(sheaf_store::Error::from)?.write_to(&mut out)?;
                out
            }
            Self::Arrows(writer) => writer.into_inner()?,
            Self::Parquet(writer) => writer.into_inner()?,
            Self::Csv(writer) => writer.into_inner(),
            Self::Jsonl(mut writer) => {
                writer.finish()?;
                writer.into_inner()
            }
        };
        out.flush()?;
        Ok(out)
    }
}

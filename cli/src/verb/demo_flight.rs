//! The demo's last step: the same object over Arrow Flight, by pyarrow if it is there.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;
use sheaf_flight::{FarClient, FarOptions};
use sheaf_store::Store;

use super::demo_reader::NAME;
use crate::error::Result;
use crate::units::human_time;

/// What pyarrow is asked to do: stock calls, and nothing of Sheaf.
const SCRIPT: &str = "
import json, os, sys, time
import pyarrow as pa, pyarrow.flight as fl
client = fl.connect(sys.argv[1])
start = time.perf_counter()
table = client.do_get(fl.Ticket(sys.argv[2])).read_all()
seconds = time.perf_counter() - start
print(json.dumps({'pid': os.getpid(), 'version': pa.__version__, 'rows': table.num_rows,
                  'seconds': seconds}))
";

#[derive(Deserialize)]
struct Told {
    pid: u32,
    version: String,
    rows: u64,
    seconds: f64,
}

/// Reads the demo's table from the endpoint at `url`; how many rows came, and who read them, in
/// words.
pub(super) fn read(url: &str) -> Result<(u64, String)> {
    if let Some(Told { pid, version, rows, seconds }) = by_pyarrow(url) {
        let time = human_time(Duration::try_from_secs_f64(seconds).unwrap_or_default());
        let text = format!(
            "and pyarrow {version} (process {pid}) reads the same object at {url}: {rows} rows in \
             {time}."
        );
        return Ok((rows, text));
    }
    let far = FarClient::connect(url, &FarOptions::default())?;
    let start = Instant::now();
    let rows = far.get(NAME.as_bytes())?.info().rows;
    let time = human_time(start.elapsed());
    let text = format!(
        "streams the same object at {url}: {rows} rows in {time} (pyarrow would, too: it is not \
         installed)."
    );
    Ok((rows, text))
}

/// Nothing where there is no Python, or no pyarrow.
fn by_pyarrow(url: &str) -> Option<Told> {
    let mut python = Command::new("python3");
    python.args(["-c", SCRIPT, url, NAME]).stdin(Stdio::null()).stderr(Stdio::null());
    let output = python.output().ok().filter(|output| output.status.success())?;
    serde_json::from_slice(&output.stdout).ok()
}

//! The first full read by a new process, beside a warm one.

use std::time::Instant;

use sheaf_store::PutOptions;

use super::{Row, Scale, size, speed};
use crate::clock::{median, timed};
use crate::process::{self, Store, argument};
use crate::tables::{batch, sum_all};
use crate::{MIB, Outcome};

/// Each sample is a process of its own.
pub(super) fn first(scale: Scale) -> Outcome<Vec<Row>> {
    let mut rows = Vec::new();
    for bytes in scale.sizes {
        let store = Store::start(bytes + 256 * MIB, bytes)?;
        let client = store.client()?;
        let table = batch(bytes);
        client.put(
            "table",
            &table.schema(),
            std::slice::from_ref(&table),
            &PutOptions::default(),
        )?;
        let (mut firsts, mut warms) = (Vec::new(), Vec::new());
        for _ in 0..scale.repeats {
            let lines = process::run("reader", &[&store.url(), &scale.repeats.to_string()])?;
            let seconds: Vec<f64> =
                lines.iter().map(|line| line.parse()).collect::<Result<_, _>>()?;
            firsts.push(seconds[0]);
            warms.push(median(&seconds[1..]));
        }
        let (first, warm) = (median(&firsts), median(&warms));
        rows.push(Row::new(
            format!("first full read of {}, new process", size(bytes)),
            speed(bytes, first),
            format!("{:.2} warm read", warm / first),
            "0.9 of a warm read",
        ));
    }
    Ok(rows)
}

/// The role of a reader (`URL REPEATS`): the seconds of get and full read, then of full reads of
/// what is mapped.
///
/// # Errors
/// When the store says so.
pub fn read(arguments: &[String]) -> Outcome<()> {
    let client = process::client(&arguments[0], None)?;
    let start = Instant::now();
    let object = client.get("table")?;
    let table = object.table()?.batch(0)?;
    std::hint::black_box(sum_all(&table));
    println!("{}", start.elapsed().as_secs_f64());
    for _ in 0..argument::<usize>(arguments, 1)? {
        println!("{}", timed(|| std::hint::black_box(sum_all(&table))).1);
    }
    Ok(())
}

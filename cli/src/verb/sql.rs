//! `sheaf sql`: a statement about what is stored.

use std::ffi::OsString;
use std::io::Read;
use std::time::Instant;

use sheaf_store::PutOptions;

use crate::args::Global;
use crate::error::Result;
use crate::names;
use crate::output::Output;
use crate::term::Out;
use crate::units::{counted, human_time};

/// Ask in SQL: a table on the terminal, an Arrow stream into a pipe, a file, or a new object.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Every table object is a table; a name in capitals, or with other characters than letters, digits
and _, goes into double quotes. What is known of the store is in system.objects, system.holders,
system.clients and system.settings.

Examples:
  sheaf sql 'select carrier, avg(dep_delay) from flights group by 1 order by 2 desc'
  sheaf sql 'select * from flights where delay > 60' -o late.parquet
  sheaf sql --into late 'select * from flights where delay > 60'
  sheaf sql 'create table by_day as select * from flights order by day'
  sheaf sql 'show tables'
  sheaf sql - < report.sql | sheaf put report -")]
pub(crate) struct Sql {
    /// The statement; - reads it from stdin.
    statement: String,
    /// Put the result under this name.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["output", "format"])]
    into: Option<OsString>,
    /// With --into: replace the object that has the name.
    #[arg(long, requires = "into")]
    replace: bool,
    #[command(flatten)]
    output: Output,
}

impl Sql {
    pub(crate) fn run(&self, global: &Global, out: &mut Out) -> Result<()> {
        let mut statement = self.statement.clone();
        if statement == "-" {
            statement.clear();
            std::io::stdin().read_to_string(&mut statement)?;
        }
        let store = global.connect()?;
        let start = Instant::now();
        if let Some(into) = &self.into {
            let name = names::parse(into, false)?;
            let put = PutOptions { replace: self.replace, ..PutOptions::default() };
            let object = store.sql(&statement, Some((name.as_bytes(), &put)))?;
            let (rows, took) = (counted(object.info().rows, "row"), human_time(start.elapsed()));
            eprintln!("sheaf: put {rows} into {name} in {took}");
            return Ok(());
        }
        let table = store.sql(&statement, None)?.table()?;
        self.output.write(&table, "the result", Some(start.elapsed()), out)
    }
}

//! The SQL engine's part of the command line.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sheaf_query::{EngineOptions, SqlEngine};
use sheaf_store::sql::Engine;

use crate::error::Result;
use crate::machine::Memory;
use crate::units::{parse_bytes, parse_duration};

/// How `serve` answers SQL.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "SQL")]
pub(crate) struct Sql {
    /// Answer no SQL.
    #[arg(long)]
    no_sql: bool,
    /// The most memory that all statements may take beside the store's [default: a quarter of what
    /// the control group or the machine has].
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    sql_memory: Option<u64>,
    /// The most that one statement may take of it [default: all].
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    sql_statement_memory: Option<u64>,
    /// How long a statement may take [default: as long as it does].
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    sql_timeout: Option<Duration>,
    /// The folder for what does not fit into memory [default: the one for temporary files].
    #[arg(long, value_name = "DIR")]
    sql_spill_dir: Option<PathBuf>,
    /// The most that may be there.
    #[arg(long, value_name = "SIZE", default_value = "64GiB", value_parser = parse_bytes)]
    sql_spill: u64,
    /// A folder whose files statements may read and write (`copy … to`, `create external table`);
    /// may be given several times [default: none].
    #[arg(long, value_name = "DIR")]
    sql_dir: Vec<PathBuf>,
}

impl Sql {
    /// The engine of the store that will be at this socket; none if it is off.
    pub(crate) fn engine(&self, socket: &Path) -> Result<Option<Arc<dyn Engine>>> {
        if self.no_sql {
            return Ok(None);
        }
        let memory = self.sql_memory.unwrap_or_else(|| Memory::read().limit_bytes() / 4);
        let mut options = EngineOptions::new(memory);
        options.statement_memory_bytes = self.sql_statement_memory;
        options.timeout = self.sql_timeout;
        options.spill_bytes = self.sql_spill;
        options.folders.clone_from(&self.sql_dir);
        if let Some(folder) = &self.sql_spill_dir {
            options.spill.clone_from(folder);
        }
        let url = format!("unix:{}", socket.display());
        Ok(Some(Arc::new(SqlEngine::new(&url, options)?)))
    }
}

//! What the engine is told, and what a session may change of it.

use std::path::PathBuf;
use std::time::Duration;

use datafusion::common::extensions_options;
use datafusion::config::ConfigExtension;

/// What an engine may use, and what it may touch.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// The most memory that all statements may take beside the store's, in bytes.
    pub memory_bytes: u64,
    /// The most that one may take, in bytes; all of it when not given.
    pub statement_memory_bytes: Option<u64>,
    /// Where what does not fit goes; a folder of temporary files that is the operator's.
    pub spill: PathBuf,
    /// The most that goes there, in bytes.
    pub spill_bytes: u64,
    /// How long a statement may take, from its first row asked for to its last one; as long as it
    /// does when not given.
    pub timeout: Option<Duration>,
    /// How many threads work; as many as the process may use when 0.
    pub threads: usize,
    /// The folders that `copy … to` may write to and `create external table` may read from, and
    /// what is below them.
    pub folders: Vec<PathBuf>,
}

impl EngineOptions {
    /// An engine that may take so much memory.
    #[must_use]
    pub fn new(memory_bytes: u64) -> Self {
        Self {
            memory_bytes,
            statement_memory_bytes: None,
            spill: std::env::temp_dir(),
            spill_bytes: 64 << 30,
            timeout: None,
            threads: 0,
            folders: Vec::new(),
        }
    }

    pub(crate) fn num_threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        if self.threads > 0 { self.threads } else { cores() }
    }

    pub(crate) fn statement_memory(&self) -> u64 {
        self.statement_memory_bytes.unwrap_or(self.memory_bytes).min(self.memory_bytes)
    }
}

extensions_options! {
    /// What `set sheaf.… = …` sets, for the session.
    pub struct SheafOptions {
        /// How long a statement may take, in milliseconds; 0 for as long as the operator allows.
        pub timeout_ms: u64, default = 0

        /// The memory that a statement may take, in bytes; 0 for as much as the operator allows.
        pub memory_bytes: u64, default = 0
    }
}

impl ConfigExtension for SheafOptions {
    const PREFIX: &'static str = "sheaf";
}

//! The store's counters and gauges.

use super::Client;
use super::link::unexpected;
use crate::error::Result;
use crate::protocol::message::{Count, Reply};

/// What the store counts, and who it is.
#[derive(Clone, Debug)]
pub struct Stat {
    counters: Vec<(String, u64)>,
    /// The store's process id.
    pub store_pid: u32,
    /// The store's version.
    pub version: String,
    /// The store's id, another one after each start, as hexadecimal digits.
    pub store_id: String,
    /// The socket it was asked through.
    pub socket: String,
}

impl Stat {
    /// These counters, of the store that is reached at `socket`.
    #[must_use]
    pub fn new(
        counters: Vec<(String, u64)>,
        (store_id, store_pid, version): (String, u32, String),
        socket: String,
    ) -> Self {
        Self { counters, store_pid, version, store_id, socket }
    }

    /// Every counter and gauge by name, in a fixed order. Sizes end in `_bytes`.
    pub fn fields(&self) -> impl Iterator<Item = (&str, u64)> {
        self.counters.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// One of them; 0 when this store has none of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> u64 {
        self.fields().find(|(known, _)| *known == name).map_or(0, |(_, value)| value)
    }
}

impl Client {
    /// The store's counters.
    ///
    /// # Errors
    /// [`Kind::Unavailable`](crate::Kind::Unavailable) when the store is gone.
    pub fn stat(&self) -> Result<Stat> {
        let (link, arrived) = self.call(Count {})?;
        let Reply::Counted(counted) = arrived.reply else {
            return Err(unexpected(&arrived.reply));
        };
        let welcome = &link.welcome;
        let id = welcome.store.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Stat::new(
            counted.counters.into_iter().map(|c| (c.name, c.value)).collect(),
            (id, welcome.pid, welcome.program.clone()),
            self.socket().display().to_string(),
        ))
    }
}

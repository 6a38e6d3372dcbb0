//! SQL over a store in this process: the engine as the doors ask it.

mod changes;
mod files;
mod harness;
mod limits;
mod reading;
mod scans;

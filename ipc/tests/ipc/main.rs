//! Files written, opened, and compared: by us, and by arrow-rs.

mod cut;
mod harness;
mod hostile;
mod ingest;
mod layout;
mod properties;
mod round_trip;
mod samples;
mod seeds;
mod sizes;

//! Any bytes as an upload by Arrow Flight, in any pieces: read or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: (&[u8], &[u8])| sheaf_flight::fuzzing::flight_data(data.0, data.1));

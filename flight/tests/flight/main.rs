//! The far door as clients see it: an endpoint, and stock clients of Arrow Flight.

mod get;
mod harness;
mod put;

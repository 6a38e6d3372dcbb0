//! The far door as clients see it: an endpoint, and stock clients of Arrow Flight.

mod calls;
mod client;
mod get;
mod guard;
mod harness;
mod limits;
mod put;
mod sockets;
mod steps;

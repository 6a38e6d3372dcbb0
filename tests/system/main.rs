//! Whole-system tests, one binary: a daemon as a process, clients as processes, kill -9 at will.

mod accounts;
mod cli;
mod crowd;
mod daemon;
mod death;
mod doors;
mod examples;
mod flight;
mod full;
mod hostile;
mod lifetime;
mod room_for;
mod scale;
mod sort;
mod sql;
mod tables;
mod threads;
mod tidiness;
mod tiny;
mod watching;

/// One array of every type, as the tests of `sheaf-ipc` have them.
#[path = "../../ipc/tests/ipc/samples.rs"]
#[expect(dead_code, reason = "its other half is for the tests of `sheaf-ipc`")]
mod samples;

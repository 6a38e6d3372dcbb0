//! What the room promises, claim by claim.

mod budget;
mod drafts;
mod harness;
mod limits;
mod names;
mod pool;
mod readers;
mod segments;
mod waiting;

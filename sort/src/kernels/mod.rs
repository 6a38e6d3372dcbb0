//! The inner loops, each with a plain form that every processor runs.
//!
//! | kernel | what it does | faster with |
//! |---|---|---|
//! | [`network`] | sorts many short runs of 32-bit words at once | AVX-512 |
//! | [`combine`] | scatters values to buckets, by lines of 128 bytes | streaming stores |
//! | [`letters`] | the first letters of strings as numbers | AVX-512 with VBMI |
//! | [`past`] | copies to memory that nobody reads soon | streaming stores |
//! | [`permute`] | puts values into a given order, or in reverse | |
//! | [`search`] | finds codes among splitters, several in step | |
//! | [`bits`] | bitmaps to bytes and back | |
//! | [`wide`] | any loop the compiler can vectorise | AVX-512, AVX2 |
//!
//! All `unsafe` of this crate that is not memory's own ([`crate::memory`]) is here. The tests hold
//! each fast form to the plain one.

pub(crate) mod bits;
pub(crate) mod combine;
pub(crate) mod letters;
pub(crate) mod network;
pub(crate) mod past;
pub(crate) mod permute;
pub(crate) mod search;
pub(crate) mod wide;

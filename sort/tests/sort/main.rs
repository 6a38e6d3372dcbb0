//! The sort, held to an oracle: `arrow-row` keys and a stable sort of the standard library.

mod any_table;
mod cases;
mod disk;
mod oracle;

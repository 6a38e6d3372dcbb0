//! The native half of the Python package: the near door as `sheaf._sheaf`.
//!
//! ```text
//! sheaf/__init__.py ─▶ store     Store: what a program calls
//!                        ├─ table, schema, preview   what a get returns
//!                        ├─ building, writer, draft  what becomes an object
//!                        ├─ watch, info              what the store tells
//!                        ├─ pickled                  what of these is pickled by value
//!                        ├─ plasma                   what sheaf.plasma asks of it
//!                        ├─ capsule, dtype           Arrow data and types, in and out
//!                        ├─ buffer, held, owner      memory shown to Python, its time, its owner
//!                        └─ errors, interrupt, args  what every call shares
//! ```
//!
//! Thin: each class is frozen around one Rust value, and decides nothing that the store could.
//!
//! Free-threaded interpreters are told that it wants the lock (`gil_used`): nothing here is known
//! to need it, and nothing has been tested without it.
//!
//! **No call waits, copies or takes a lock for long while it holds the interpreter's lock.** A
//! thread that waits may need that lock, to ask for signals.

mod args;
mod buffer;
mod building;
mod capsule;
mod child;
mod draft;
mod dtype;
mod errors;
mod held;
mod info;
mod interrupt;
mod numpy;
mod owner;
mod pickled;
mod plasma;
mod preview;
mod schema;
mod slot;
mod sorting;
mod store;
mod table;
mod watch;
mod writer;

use pyo3::prelude::*;

/// The near door of a Sheaf store: shared memory as Arrow tables.
#[pymodule(gil_used = true)]
mod _sheaf {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::{
        building::Builder,
        child::Child,
        draft::DraftCore,
        info::{Event, Holder, Info},
        plasma::PlasmaCore,
        schema::Schema,
        store::Store,
        table::Table,
        watch::Watch,
        writer::Writer,
    };

    #[pymodule_export]
    use super::default_url;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("Buffer", super::buffer::class(module.py())?)
    }
}

/// The URL of the store when none is named: `$SHEAF_STORE`, else the user's default socket.
///
/// >>> import os
/// >>> os.environ["SHEAF_STORE"] = "unix:/run/trades.sock"
/// >>> sheaf.default_url()
/// 'unix:/run/trades.sock'
#[pyfunction]
fn default_url() -> String {
    sheaf_store::default_url()
}

//! Keeps `fork` out of the instant between making a writable mapping and marking it as not
//! inherited.
//!
//! The two are two calls to the kernel. A child forked between them, by any thread, would inherit
//! the mapping, and the container could not be sealed until that child is gone.

use std::cell::Cell;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

static INSTANT: Mutex<()> = Mutex::new(());

thread_local! {
    /// Held from before a fork until after it, by the thread that forks, which is the one thread
    /// that the child has.
    static FORKING: Cell<Option<MutexGuard<'static, ()>>> = const { Cell::new(None) };
}

/// No thread of this process forks until the guard drops.
pub(super) fn held_off() -> MutexGuard<'static, ()> {
    static REGISTERED: Once = Once::new();

    REGISTERED.call_once(|| {
        // SAFETY: the functions are there as long as the process. Failure means that memory is
        // out, and then that a fork may fall into the instant; the seal will say so.
        unsafe { libc::pthread_atfork(Some(before), Some(after), Some(after)) };
    });
    lock()
}

fn lock() -> MutexGuard<'static, ()> {
    INSTANT.lock().unwrap_or_else(PoisonError::into_inner)
}

extern "C" fn before() {
    // A thread that forks while it ends has no thread-locals left; it goes unguarded.
    let _ = FORKING.try_with(|forking| forking.set(Some(lock())));
}

extern "C" fn after() {
    let _ = FORKING.try_with(|forking| drop(forking.take()));
}

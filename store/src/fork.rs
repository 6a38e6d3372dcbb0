//! What must not go wrong when the process forks.
//!
//! - A child that inherits a writable mapping keeps its container from being sealed. Making such a
//!   mapping and marking it as not inherited are two calls to the kernel: between them no thread of
//!   this process may fork.
//! - A child that inherits a connection keeps it open after its parent's death, and with it the
//!   parent's drafts and holds. So in a child each such descriptor is put out of use.

use std::cell::Cell;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

/// What forks wait for.
static BOOKS: Mutex<Books> = Mutex::new(Books { connections: Vec::new(), nowhere: None });

struct Books {
    connections: Vec<RawFd>,
    /// What the descriptor of a connection becomes in a child.
    nowhere: Option<OwnedFd>,
}

thread_local! {
    /// Held from before a fork until after it, by the thread that forks, which is the one thread
    /// that the child has.
    static FORKING: Cell<Option<MutexGuard<'static, Books>>> = const { Cell::new(None) };
}

/// Keeps this process from forking until it drops.
pub(crate) struct HeldOff(
    #[expect(dead_code, reason = "held, not read")] MutexGuard<'static, Books>,
);

/// No thread of this process forks until the guard drops.
pub(crate) fn held_off() -> HeldOff {
    HeldOff(books())
}

/// A connection that forked children do not inherit, until this drops.
pub(crate) struct Uninherited(RawFd);

/// Keeps a connection from forked children. What this returns must drop before the descriptor.
pub(crate) fn uninherited(connection: BorrowedFd<'_>) -> Uninherited {
    let mut books = books();
    if books.nowhere.is_none() {
        let flags = rustix::event::EventfdFlags::CLOEXEC;
        // Without it a child keeps the connection, as it would have without us.
        books.nowhere = rustix::event::eventfd(0, flags).ok();
    }
    books.connections.push(connection.as_raw_fd());
    Uninherited(connection.as_raw_fd())
}

impl Drop for Uninherited {
    fn drop(&mut self) {
        let mut books = books();
        // In a child the list is empty, and the number may be another's already.
        if let Some(index) = books.connections.iter().position(|known| *known == self.0) {
            books.connections.swap_remove(index);
        }
    }
}

fn books() -> MutexGuard<'static, Books> {
    static REGISTERED: Once = Once::new();

    REGISTERED.call_once(|| {
        // SAFETY: the functions are there as long as the process. Failure means that memory is
        // out, and then that a fork goes unguarded; a seal that meets a mapping will say so.
        unsafe { libc::pthread_atfork(Some(before), Some(after), Some(after_in_child)) };
    });
    lock()
}

fn lock() -> MutexGuard<'static, Books> {
    BOOKS.lock().unwrap_or_else(PoisonError::into_inner)
}

extern "C" fn before() {
    // A thread that forks while it ends has no thread-locals left; it goes unguarded.
    let _ = FORKING.try_with(|forking| forking.set(Some(lock())));
}

extern "C" fn after() {
    let _ = FORKING.try_with(|forking| drop(forking.take()));
}

/// Calls only what may be called between a fork and an exec.
extern "C" fn after_in_child() {
    let _ = FORKING.try_with(|forking| {
        let Some(mut books) = forking.take() else { return };
        let Books { connections, nowhere } = &mut *books;
        if let Some(nowhere) = nowhere {
            for connection in connections.iter() {
                // SAFETY: the list has only descriptors that this process has open. Their owners
                // here keep a valid descriptor, which leads nowhere.
                unsafe {
                    libc::dup3(nowhere.as_fd().as_raw_fd(), *connection, libc::O_CLOEXEC);
                }
            }
        }
        connections.clear();
    });
}

//! From the far door to the near one: a store of the same machine is mapped and not streamed.
//!
//! The endpoint tells the path of the near door's socket and the store's id. The path may mean
//! something else here, so it is looked at: the socket must be this user's or root's, and the store
//! that answers there must have that id.

use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::time::Duration;

use sheaf_store::{Client, ConnectOptions};

use crate::neighbour;
use crate::service::hint::Hint;

/// The near door to the same store, if it is on this machine.
pub(super) fn same_store(hint: &Hint, options: &ConnectOptions) -> Option<Client> {
    let socket = std::fs::metadata(&hint.socket).ok()?;
    if !socket.file_type().is_socket() || !neighbour::is_ours(socket.uid()) {
        return None;
    }
    let options = ConnectOptions { timeout: Duration::ZERO, ..options.clone() };
    let client = sheaf_store::connect_with(&format!("unix:{}", hint.socket), &options).ok()?;
    let stat = client.stat().ok()?;
    (stat.store_id == hint.store).then_some(client)
}

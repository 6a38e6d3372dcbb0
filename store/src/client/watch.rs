//! Watching: events of a store, in order, on a connection of their own.

use std::sync::Arc;

use super::Client;
use super::link::{Link, interrupted, unexpected};
use crate::error::{Kind, Result};
use crate::object::Event;
use crate::protocol::frame::Frame;
use crate::protocol::message::{Happened, Reply, Request, Watch as Ask};

/// The events of names with a prefix, as they happen. Ends with the first error but for
/// [`Kind::Interrupted`].
pub struct Watch {
    link: Arc<Link>,
    ended: bool,
}

impl Client {
    /// Watches every name that starts with `prefix`: created, sealed, deleted. With `replay`, there
    /// is a sealed event for each object that is there already, in the order of their names and as
    /// fast as they are read. What happens meanwhile to a name that the replay has not come to is
    /// told when it does: as the object is then.
    ///
    /// # Errors
    /// [`Kind::Unavailable`](crate::Kind::Unavailable) when the store is gone.
    pub fn watch(&self, prefix: impl AsRef<[u8]>, replay: bool) -> Result<Watch> {
        // A connection of its own: a reader of events may be slow without being in anyone's way.
        let link = self.connect_patiently()?;
        let prefix = bytes::Bytes::copy_from_slice(prefix.as_ref());
        link.send(&Request::from(Ask { prefix, replay }))?;
        Ok(Watch { link, ended: false })
    }
}

impl Iterator for Watch {
    type Item = Result<Event>;

    /// Waits for the next event.
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let next = self.next_frame().and_then(|frame| match Reply::take(frame.code, frame.body)? {
            Reply::Happened(Happened { kind, name, bytes, metadata_bytes }) => {
                Ok(Event { kind, name, bytes, metadata_bytes })
            }
            Reply::Failed(failed) => Err(failed.into()),
            other => Err(unexpected(&other)),
        });
        self.ended = next.as_ref().is_err_and(|error| error.kind() != Kind::Interrupted);
        Some(next)
    }
}

impl Watch {
    fn next_frame(&self) -> Result<Frame> {
        loop {
            if let Some((frame, _)) = self.link.read_frame()? {
                return Ok(frame);
            }
            if self.link.interrupted.is_some_and(|asked| asked()) {
                return Err(interrupted());
            }
        }
    }
}

//! Watching: events of a store, in order, on a connection of their own.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Client;
use super::link::{Link, unexpected};
use crate::error::{Error, Kind, Result};
use crate::object::Event;
use crate::protocol::frame::Frame;
use crate::protocol::message::{Count, Happened, Reply, Request, Watch as Ask};

/// The events of names with a prefix, as they happen. Ends with the first error but for
/// [`Kind::Interrupted`].
pub struct Watch {
    link: Arc<Link>,
    /// Read already.
    ahead: VecDeque<Frame>,
    ended: bool,
}

impl Client {
    /// Watches every name that starts with `prefix`: created, sealed, deleted. Whatever happens
    /// once this has returned is told. With `replay`, there is a sealed event for each object that
    /// is there already, in the order of their names and as fast as they are read. What happens
    /// meanwhile to a name that the replay has not come to is told when it does: as the object is
    /// then.
    ///
    /// # Errors
    /// [`Kind::Unavailable`](crate::Kind::Unavailable) when the store is gone.
    pub fn watch(&self, prefix: impl AsRef<[u8]>, replay: bool) -> Result<Watch> {
        // A connection of its own: a reader of events may be slow without being in anyone's way.
        let link = self.connect_patiently()?;
        let prefix = bytes::Bytes::copy_from_slice(prefix.as_ref());
        link.send(&Request::from(Ask { prefix, replay }))?;
        let ahead = until_answered(&link)?;
        Ok(Watch { link, ahead, ended: false })
    }
}

/// Waits until the store has done all that was asked of it so far: what happens from now on is
/// seen. Returns the events that came meanwhile.
fn until_answered(link: &Link) -> Result<VecDeque<Frame>> {
    let last = link.send(&Request::from(Count {}))?;
    let mut ahead = VecDeque::new();
    loop {
        let frame = next_frame(link)?;
        if frame.id == last {
            return Ok(ahead);
        }
        ahead.push_back(frame);
    }
}

/// The next frame, for a link that nobody else reads.
fn next_frame(link: &Link) -> Result<Frame> {
    loop {
        if let Some((frame, _)) = link.read_frame()? {
            return Ok(frame);
        }
        if link.interrupted.is_some_and(|asked| asked()) {
            return Err(Error::interrupted());
        }
    }
}

impl Iterator for Watch {
    type Item = Result<Event>;

    /// Waits for the next event.
    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let frame = self.ahead.pop_front().map_or_else(|| next_frame(&self.link), Ok);
        let next = frame.and_then(|frame| match Reply::take(frame.code, frame.body)? {
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

//! Getting, waiting, looking: everything that reads.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use super::link::{Arrived, Link, unexpected};
use super::object::{Hold, Object};
use super::{Client, millis};
use crate::error::{Error, Kind, Result};
use crate::object::{Info, Name, PutOptions};
use crate::protocol::frame::MAX_DESCRIPTORS;
use crate::protocol::message::{
    Delete, Evict, Fetch, Get, Grant, List, Look, Query, Reply, Request,
};

impl Client {
    /// The sealed object of this name, at once.
    ///
    /// # Errors
    /// [`Kind::NotFound`] when there is none, or only a draft.
    pub fn get(&self, name: impl AsRef<[u8]>) -> Result<Object> {
        self.get_timeout(name, Duration::ZERO)
    }

    /// The sealed object of this name, waiting for it up to `timeout`.
    ///
    /// # Errors
    /// [`Kind::Timeout`] at the limit; [`Kind::WriterGone`] at once when the writer that would
    /// have sealed it aborts or dies.
    pub fn get_timeout(&self, name: impl AsRef<[u8]>, timeout: Duration) -> Result<Object> {
        let name = Name::new(name)?;
        if let Some(object) = self.look_up(&name) {
            return Ok(object);
        }
        let (link, arrived) = self.call(get(vec![name], timeout, true))?;
        let (grants, mut descriptors) = granted(arrived)?;
        let grant = grants.into_iter().next().unwrap_or_else(|| Err(nothing()));
        open(&link, grant?, &mut descriptors)
    }

    /// Several objects, waiting for all of them up to `timeout`; one result for each name, in
    /// order. A name may stand several times.
    ///
    /// # Errors
    /// For each name as [`Client::get_timeout`], or [`Kind::Unavailable`] when the store is gone;
    /// in all [`Kind::Invalid`] when one of them is no name.
    pub fn get_many<N: AsRef<[u8]>>(
        &self,
        names: &[N],
        timeout: Duration,
    ) -> Result<Vec<Result<Object>>> {
        let names: Vec<Name> = names.iter().map(Name::new).collect::<Result<_>>()?;
        // Tiny ones are found without a message.
        let found: Vec<Option<Object>> = names.iter().map(|name| self.look_up(name)).collect();
        let others: Vec<Name> = names
            .into_iter()
            .zip(&found)
            .filter_map(|(name, found)| found.is_none().then_some(name))
            .collect();
        let mut asked = self.ask_many(&others, timeout).into_iter();
        let nothing = || Err(nothing());
        Ok(found
            .into_iter()
            .map(|found| found.map(Ok).or_else(|| asked.next()).unwrap_or_else(nothing))
            .collect())
    }

    /// Several objects as they are at one moment: none of them is replaced or deleted between two
    /// of the answers. One result for each name, in order.
    ///
    /// # Errors
    /// As [`Client::get_many`]; [`Kind::Invalid`] for more than 128 names, which take several
    /// moments.
    pub fn get_together(&self, names: &[Name]) -> Result<Vec<Result<Object>>> {
        if names.len() > MAX_DESCRIPTORS {
            let message = format!("{} names at one moment; at most {MAX_DESCRIPTORS}", names.len());
            return Err(Error::new(Kind::Invalid, message));
        }
        Ok(self.ask_many(names, Duration::ZERO))
    }

    /// Asks a statement of the store's SQL engine; the result is an object, mapped like any other.
    /// Without a name it lasts as long as somebody holds it. What changes something has a result of
    /// one row, `count`.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the store has no engine; [`Kind::Invalid`] for what is no SQL, or
    /// for values that can't be computed with; [`Kind::NotFound`] for a table that is not there;
    /// [`Kind::Full`] when it takes more memory than it may, or its result has no room;
    /// [`Kind::Timeout`] at the engine's time limit.
    pub fn sql(&self, statement: &str, into: Option<(&[u8], &PutOptions)>) -> Result<Object> {
        let (name, replace) = match into {
            Some((name, options)) => (Name::new(name)?.as_bytes().to_vec(), options.replace),
            None => (Vec::new(), false),
        };
        let query = Query { sql: statement.to_owned(), into: name.into(), replace };
        let (link, arrived) = self.call_once(query)?;
        let (grants, mut descriptors) = granted(arrived)?;
        let grant = grants.into_iter().next().unwrap_or_else(|| Err(nothing()));
        open(&link, grant?, &mut descriptors)
    }

    /// Several objects, by messages.
    fn ask_many(&self, names: &[Name], timeout: Duration) -> Vec<Result<Object>> {
        // All are asked for before the first is waited for, so that they share the time limit.
        let chunks = names.chunks(MAX_DESCRIPTORS);
        let sent: Vec<_> = chunks
            .map(|chunk| (self.send(&get(chunk.to_vec(), timeout, true).into()), chunk.len()))
            .collect();
        let mut objects = Vec::with_capacity(names.len());
        for (sent, count) in sent {
            // Whatever became of one chunk, the others' replies bring holds that are ours.
            let arrived = sent.and_then(|(link, id)| Ok((granted(link.receive(id)?)?, link)));
            match arrived {
                Ok(((grants, mut descriptors), link)) => objects.extend(
                    grants
                        .into_iter()
                        .map(|grant| grant.and_then(|grant| open(&link, grant, &mut descriptors))),
                ),
                Err(error) => objects.extend((0..count).map(|_| Err(error.clone()))),
            }
        }
        objects
    }

    /// Waits until an object of this name is sealed, without holding it.
    ///
    /// # Errors
    /// As [`Client::get_timeout`].
    pub fn wait(&self, name: impl AsRef<[u8]>, timeout: Duration) -> Result<Info> {
        let names = vec![Name::new(name)?];
        let (_, arrived) = self.call(get(names, timeout, false))?;
        let grant = granted(arrived)?.0.into_iter().next().unwrap_or_else(|| Err(nothing()));
        Ok(grant?.info)
    }

    /// What the store knows of the object or draft of this name; with who holds it, if asked.
    ///
    /// # Errors
    /// [`Kind::NotFound`].
    pub fn info(&self, name: impl AsRef<[u8]>, holders: bool) -> Result<Info> {
        let (_, arrived) = self.call(Look { name: Name::new(name)?, holders })?;
        match arrived.reply {
            Reply::Seen(seen) => Ok(seen.info),
            other => Err(unexpected(&other)),
        }
    }

    /// Every object and draft whose name starts with `prefix`, in order of names, without user
    /// metadata; with who holds them, and with retired objects that someone still holds, up to
    /// 1,000 of them, if asked.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the store is gone.
    pub fn list(&self, prefix: impl AsRef<[u8]>, holders: bool) -> Result<Vec<Info>> {
        let prefix = bytes::Bytes::copy_from_slice(prefix.as_ref());
        let mut all: Vec<Info> = Vec::new();
        loop {
            let after = all.last().map_or_else(bytes::Bytes::new, |info| {
                bytes::Bytes::copy_from_slice(info.name.as_bytes())
            });
            let (_, arrived) = self.call(List { prefix: prefix.clone(), after, holders })?;
            let Reply::Listed(listed) = arrived.reply else {
                return Err(unexpected(&arrived.reply));
            };
            let ends = !listed.more || listed.infos.is_empty();
            all.extend(listed.infos);
            if ends {
                return Ok(all);
            }
        }
    }

    /// Unbinds a name. Who holds the object keeps it.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; [`Kind::Denied`] for a draft of somebody else.
    pub fn delete(&self, name: impl AsRef<[u8]>) -> Result<()> {
        self.call_once(Delete { name: Name::new(name)? }).map(|_| ())
    }

    /// Drops droppable objects that nobody holds, least recently used first, until `bytes` are
    /// free; returns how many bytes were freed.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the store is gone.
    pub fn evict(&self, bytes: u64) -> Result<u64> {
        let (_, arrived) = self.call_once(Evict { bytes })?;
        match arrived.reply {
            Reply::Evicted(evicted) => Ok(evicted.bytes),
            other => Err(unexpected(&other)),
        }
    }
}

fn get(names: Vec<Name>, timeout: Duration, hold: bool) -> Get {
    Get { timeout_ms: millis(timeout), hold, names }
}

fn nothing() -> Error {
    Error::new(Kind::Internal, "the store answered a get with nothing")
}

type Grants = (Vec<Result<Grant>>, std::vec::IntoIter<OwnedFd>);

fn granted(arrived: Arrived) -> Result<Grants> {
    match arrived.reply {
        Reply::Got(got) => Ok((got.grants, arrived.descriptors.into_iter())),
        other => Err(unexpected(&other)),
    }
}

/// Makes an object of a grant: maps its container, or finds it mapped.
fn open(
    link: &Arc<Link>,
    grant: Grant,
    descriptors: &mut impl Iterator<Item = OwnedFd>,
) -> Result<Object> {
    let Grant { info, object, container, segment, descriptor, offset, inline } = grant;
    if object == 0 {
        return Ok(Object::inline(info, &inline));
    }
    // From here on the hold is ours, whatever goes wrong. And so is the descriptor, needed or not:
    // the next one is another grant's.
    let hold = Hold { link: link.clone(), object, container };
    let descriptor = if descriptor { descriptors.next() } else { None };
    if !segment && let Some(object) = link.maps.object(container) {
        return Ok(object); // Which has a hold of its own: this one goes back.
    }
    let map = match descriptor {
        Some(descriptor) => link.maps.insert(container, descriptor, segment)?,
        None => match link.maps.get(container) {
            Some(map) => map,
            // Another thread let go of it while this reply was on its way.
            None => link.maps.insert(container, fetch(link, object)?, segment)?,
        },
    };
    let object = Object::mapped(info, map, offset, hold)?;
    if !segment {
        link.maps.note_object(container, &object);
    }
    Ok(object)
}

fn fetch(link: &Link, object: u64) -> Result<OwnedFd> {
    let arrived = link.call(Request::from(Fetch { object }))?;
    arrived.descriptors.into_iter().next().ok_or_else(|| unexpected(&arrived.reply))
}

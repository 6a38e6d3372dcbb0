//! Tiny objects by way of the index: no message, unless their segment is new to this process.

use std::sync::Arc;

use super::Client;
use super::link::Link;
use super::object::Object;
use crate::index::{HEADER_BYTES, Header, Location};
use crate::memory::ReadMap;
use crate::object::Name;
use crate::protocol::message::Open;

impl Client {
    /// The object of this name, if the index leads to it. `None` says nothing: ask the store.
    pub(super) fn look_up(&self, name: &Name) -> Option<Object> {
        let link = self.slot().clone().filter(|link| link.is_usable() && link.is_alive())?;
        let index = link.index.as_ref()?;
        link.note_retired(index.retired());
        let mut unmapped = None;
        let found = index.find(name.as_bytes(), |at| match link.maps.get(at.container) {
            Some(map) => read(&map, at, name),
            None => {
                unmapped = Some(at.container);
                None
            }
        });
        match (found, unmapped) {
            (None, Some(container)) => {
                let map = map_segment(&link, container)?;
                index.find(name.as_bytes(), |at| {
                    (at.container == container).then(|| read(&map, at, name))?
                })
            }
            (found, _) => found,
        }
    }
}

/// The object at this location, if it has this name. Its header never changes.
fn read(map: &ReadMap, at: Location, name: &Name) -> Option<Object> {
    let bytes = name.as_bytes();
    let start = at.offset.checked_sub(Header::reach(bytes.len()))?;
    let header = Header::decode(map.get(start, HEADER_BYTES as u64)?)?;
    let own = map.get(start + HEADER_BYTES as u64, bytes.len() as u64)?;
    if header.name_bytes != bytes.len() || own != bytes {
        return None;
    }
    Some(Object::inline(header.info(name.clone()), map.get(at.offset, header.bytes)?))
}

fn map_segment(link: &Link, container: u64) -> Option<Arc<ReadMap>> {
    let arrived = link.call(Open { container }).ok()?;
    link.maps.insert(container, arrived.descriptors.into_iter().next()?, true).ok()
}

//! Carrying out what the room decided: replies, segments, memory lent and given back.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use bytes::Bytes;

use super::keeper::{Books, Guest, Keeper};
use super::preparing;
use super::routes::Route;
use super::vault::{Entry, Lend, Vault};
use crate::error::{Error, Kind, Result};
use crate::index::{Header, Location};
use crate::memory::{Memfd, Segment};
use crate::object::{Event, Info, Name};
use crate::protocol::message::{Created, Got, Grant, Happened, Sealed};
use crate::room::{
    self, Answer, ClientId, ContainerId, Effect, ObjectId, Place, Placement, Source, Ticket,
};

/// Above this size memory is given back by a job: freeing it takes the kernel a while.
const LONG_FREE_BYTES: u64 = 64 << 20;

impl Keeper {
    /// Carries out one effect.
    pub(super) fn carry_out(self: &Arc<Self>, books: &mut Books, effect: Effect) {
        match effect {
            Effect::Answer { client, ticket, answer } => {
                self.answer(books, client, ticket, answer);
            }
            Effect::Event { client, ticket, event } => tell(books, client, ticket, event),
            Effect::Retire { container } => self.retire(books, container),
            Effect::OpenSegment { container, capacity } => match Segment::create(capacity) {
                Ok(segment) => {
                    books.vault.entries.insert(container, Entry::Segment(segment));
                }
                // Growing it, which follows, tells the room.
                Err(error) => tracing::error!(%error, "a segment could not be made"),
            },
            Effect::GrowSegment { container, allocated } => {
                grow_segment(books, container, allocated);
            }
            Effect::Write { client, ticket, object, name, place, .. } => {
                let inline_bytes = self.inline_bytes;
                let written =
                    write_object(books, client, ticket, object, &name, place, inline_bytes);
                if let Err(error) = written {
                    // A defect: the room lets nothing be written where there is no memory.
                    tracing::error!(%error, %name, "a small object could not be written");
                    self.answer(books, client, ticket, Answer::Failed(error));
                }
            }
            Effect::Unlist { name, place } => {
                let gone = location(place);
                books.index.remove(name.as_bytes(), |at| at == gone);
            }
            Effect::Move { name, from, to, .. } => move_object(books, &name, from, to),
        }
    }

    fn answer(
        self: &Arc<Self>,
        books: &mut Books,
        client: ClientId,
        ticket: Ticket,
        answer: Answer,
    ) {
        let Some(guest) = books.guests.get_mut(&client) else { return };
        let Some(route) = guest.routes.remove(ticket) else { return };
        match (route, answer) {
            (Route::Draft { request }, Answer::Created(draft) | Answer::Grown(draft)) => {
                self.hand_out(books, client, request, draft);
            }
            (Route::Item { batch, index, data }, answer) => {
                guest.outbox.remove_pending(data.len());
                let outbox = guest.outbox.clone();
                let outcome = match answer {
                    Answer::Stored(stored) => Ok(told(books, stored.object)),
                    Answer::Failed(error) => Err(error),
                    _ => Err(Error::new(Kind::Internal, "a put was answered with something else")),
                };
                batch.decide(index, outcome, &outbox);
            }
            (Route::Seal { request, .. }, Answer::Stored(stored)) => {
                let outbox = guest.outbox.clone();
                outbox.reply(request, told(books, stored.object));
            }
            (Route::Got { request, hold }, Answer::Got(grants)) => {
                grant(books, client, request, hold, grants);
            }
            (route, Answer::Failed(error)) => guest.outbox.fail(route.request(), &error),
            (route, _) => {
                let error = Error::new(Kind::Internal, "a request was answered with another's");
                guest.outbox.fail(route.request(), &error);
            }
        }
    }

    /// Sends a draft's room: at once when it is small or ready, else when it is prepared.
    fn hand_out(
        self: &Arc<Self>,
        books: &mut Books,
        client: ClientId,
        request: u64,
        draft: room::Draft,
    ) {
        let object = draft.object;
        match draft.place {
            Placement::Small => {
                if let Some(guest) = books.guests.get(&client) {
                    guest
                        .outbox
                        .reply(request, Created { object: object.0, container: 0, bytes: 0 });
                }
            }
            Placement::Large { container, source, bytes } => {
                // Who grows a draft of its own has its descriptor already.
                let descriptor = source != Source::Own;
                self.lend(books, Lend { client, request, object, container, bytes, descriptor });
            }
        }
    }

    /// Hands a draft its memory, now or when it is prepared.
    pub(super) fn lend(self: &Arc<Self>, books: &mut Books, lend: Lend) {
        if let Some(Entry::Busy { lend: waiting, threads, .. }) =
            books.vault.entries.get_mut(&lend.container)
        {
            // The pool is still preparing it; who prepares it hands it on, and hurries.
            if let Some(threads) = threads {
                threads.raise(preparing::most_threads());
            }
            let overtaken = waiting.replace(lend);
            if let Some(old) = overtaken
                && let Some(guest) = books.guests.get(&old.client)
            {
                let error = Error::new(Kind::Invalid, "a later request to grow overtook this one");
                guest.outbox.fail(old.request, &error);
            }
            return;
        }
        let ready =
            |entry: &Entry| matches!(entry, Entry::Large(memfd) if memfd.bytes() >= lend.bytes);
        if books.vault.entries.get(&lend.container).is_some_and(ready) {
            self.finish_lend(books, &lend);
        } else {
            let have = books.vault.take_large(lend.container);
            self.prepare_draft(books, lend, have);
        }
    }

    /// Sends the memory, which is in the vault, to the draft's writer.
    pub(super) fn finish_lend(self: &Arc<Self>, books: &mut Books, lend: &Lend) {
        let ready = match books.vault.entries.get_mut(&lend.container) {
            Some(Entry::Large(memfd)) => memfd
                .resize(lend.bytes)
                .and_then(|()| lend.descriptor.then(|| memfd.reopen_write()).transpose()),
            _ => Err(Error::new(Kind::Internal, "a draft without memory")),
        };
        match ready {
            Ok(descriptor) => {
                let Some(guest) = books.guests.get(&lend.client) else { return };
                let created = Created {
                    object: lend.object.0,
                    container: lend.container.0,
                    bytes: lend.bytes,
                };
                guest.outbox.reply_with(lend.request, created, Vec::from_iter(descriptor));
            }
            Err(error) => self.fail_lend(books, lend, error),
        }
    }

    /// The memory could not be had: the draft ends. What there is of its container is retired like
    /// any other, since its writer may have it mapped.
    pub(super) fn fail_lend(self: &Arc<Self>, books: &mut Books, lend: &Lend, error: Error) {
        if let Some(guest) = books.guests.get(&lend.client) {
            guest.outbox.fail(lend.request, &error);
        }
        // What that entails is carried out after the effects before it: whoever called settles.
        books.room.memory_failed(lend.object, error);
    }

    /// Gives a container back once the kernel says that nobody sees it.
    pub(super) fn retire(self: &Arc<Self>, books: &mut Books, container: ContainerId) {
        let entry = books.vault.entries.get_mut(&container);
        if let Some(Entry::Busy { ended, .. }) = entry {
            *ended = true;
            return;
        }
        let held = entry.as_ref().is_some_and(|entry| entry.is_held());
        if held && matches!(entry, Some(Entry::Segment(_))) {
            books.index.retire_segment();
        }
        // Nothing in it is granted any more, so whether they know it need not be known.
        for guest in books.guests.values_mut() {
            if guest.known.remove(&container) && held {
                guest.outbox.retire(container.0);
            }
        }
        if !held {
            return self.give_back(books, container);
        }
        books.room.still_held(container);
        books.vault.lingering.insert(container);
        self.wake_clock();
    }

    /// Drops a container's memory and tells the room when it is back.
    fn give_back(self: &Arc<Self>, books: &mut Books, container: ContainerId) {
        books.vault.lingering.remove(&container);
        match books.vault.entries.remove(&container) {
            Some(Entry::Large(memfd)) if memfd.bytes() >= LONG_FREE_BYTES => {
                let keeper = self.clone();
                self.jobs.spawn_blocking(move || {
                    drop(memfd);
                    let mut books = keeper.lock();
                    books.room.reclaimed(container);
                    keeper.settle(&mut books);
                });
            }
            entry => {
                drop(entry);
                books.room.reclaimed(container);
            }
        }
    }

    /// Asks the kernel again about memory that lingers: some of it, in turn, so that a client that
    /// leaves much behind takes nobody's time.
    pub(super) fn probe_lingering(self: &Arc<Self>, books: &mut Books) {
        const AT_ONCE: usize = 256;
        let asked = books.vault.next_lingering(AT_ONCE);
        self.probe(books, asked);
    }

    /// Asks the kernel again about these containers, as far as they linger.
    pub(super) fn probe(
        self: &Arc<Self>,
        books: &mut Books,
        asked: impl IntoIterator<Item = ContainerId>,
    ) {
        for container in asked {
            let vault = &books.vault;
            if vault.lingering.contains(&container)
                && vault.entries.get(&container).is_none_or(|entry| !entry.is_held())
            {
                self.give_back(books, container);
            }
        }
        self.settle(books);
    }

    /// Puts a job's container back, or gives it back when it was ended meanwhile.
    pub(super) fn put_back(
        self: &Arc<Self>,
        books: &mut Books,
        container: ContainerId,
        memfd: Memfd,
    ) -> bool {
        let previous = books.vault.entries.insert(container, Entry::Large(memfd));
        let ended = matches!(previous, Some(Entry::Busy { ended: true, .. }));
        if ended {
            self.retire(books, container);
        }
        !ended
    }
}

fn tell(books: &mut Books, client: ClientId, ticket: Ticket, event: Event) {
    let Some(guest) = books.guests.get_mut(&client) else { return };
    let Some(Route::Watch { request }) = guest.routes.get(ticket) else { return };
    let request = *request;
    if guest.outbox.is_flooded() {
        guest.routes.remove(ticket);
        let error = Error::new(
            Kind::Full,
            "the watch fell behind and ended: read faster, or watch again with a replay",
        );
        guest.outbox.fail(request, &error);
        books.room.cancel(client, ticket);
        return;
    }
    let Event { kind, name, bytes, metadata_bytes } = event;
    guest.outbox.reply(request, Happened { kind, name, bytes, metadata_bytes });
}

/// Gives a segment memory and tells the room how it went.
fn grow_segment(books: &mut Books, container: ContainerId, allocated: u64) {
    match books.vault.segment(container).map(|segment| segment.allocate(allocated)) {
        Some(Ok(())) => books.room.segment_grown(container, allocated),
        failed => {
            if let Some(Err(error)) = failed {
                tracing::error!(%error, "no memory for a segment of small objects");
            }
            books.room.segment_failed(container);
        }
    }
}

/// Writes a small object's header, name and bytes into its place.
fn write_object(
    books: &mut Books,
    client: ClientId,
    ticket: Ticket,
    object: ObjectId,
    name: &Name,
    place: Place,
    inline_bytes: u64,
) -> Result<()> {
    let data = match books.guests.get(&client).and_then(|guest| guest.routes.get(ticket)) {
        Some(Route::Item { data, .. } | Route::Seal { data, .. }) => Some(data.clone()),
        _ => None,
    };
    let lacking = || Error::new(Kind::Internal, "a small object came without its bytes");
    let (info, data) = books.room.known(object).zip(data).ok_or_else(lacking)?;
    write_at(books, &Header::of(&info), name, place, &data)?;
    let indexed = place.len <= inline_bytes && !info.droppable && info.metadata.is_empty();
    if indexed {
        lead_to(books, name, place);
    }
    Ok(())
}

fn no_segment() -> Error {
    Error::new(Kind::Internal, "a place in a segment that is not there")
}

fn write_at(
    books: &mut Books,
    header: &Header,
    name: &Name,
    place: Place,
    data: &[u8],
) -> Result<()> {
    let segment = books.vault.segment(place.container).ok_or_else(no_segment)?;
    let before = header.encode(name);
    segment.write(place.offset - before.len() as u64, &[&before, data])
}

fn location(place: Place) -> Location {
    Location { container: place.container.0, offset: place.offset }
}

/// Lets the index lead to a small object whose bytes are in place.
fn lead_to(books: &mut Books, name: &Name, place: Place) {
    let Books { vault, index, .. } = books;
    index.insert(name.as_bytes(), location(place), |at| {
        vault.name_at(at, name.as_bytes().len()).is_some_and(|old| old == name.as_bytes())
    });
}

fn move_object(books: &mut Books, name: &Name, from: Place, to: Place) {
    let reach = Header::reach(name.as_bytes().len());
    let source = books.vault.segment(from.container);
    let whole = source
        .and_then(|segment| segment.read(from.offset - reach, reach + from.len))
        .map(<[u8]>::to_vec);
    let moved = whole
        .ok_or_else(|| Error::new(Kind::Internal, "a segment lacks an object's bytes"))
        .and_then(|whole| {
            let target = books.vault.segment(to.container).ok_or_else(no_segment)?;
            target.write(to.offset - reach, &[&whole])
        });
    if let Err(error) = moved {
        tracing::error!(%error, %name, "an object could not be moved out of a sparse segment");
        return;
    }
    // Only what the index led to before: a larger or droppable object stays out of it.
    books.index.redirect(name.as_bytes(), location(from), location(to));
}

/// What the reply to a put or a seal says of the object.
pub(super) fn told(books: &Books, object: ObjectId) -> Sealed {
    let info = books.room.known(object);
    info.map_or(
        // Sealed, and deleted or dropped at the same instant.
        Sealed { object: 0, charged_bytes: 0, rows: 0, batches: 0, created_ms: 0, sealed_ms: 0 },
        |info| Sealed {
            object: info.id,
            charged_bytes: info.charged_bytes,
            rows: info.rows,
            batches: info.batches,
            created_ms: info.created_ms,
            sealed_ms: info.sealed_ms,
        },
    )
}

/// Answers a get: places, and descriptors of the containers that this client does not know yet.
pub(super) fn grant(
    books: &mut Books,
    client: ClientId,
    request: u64,
    hold: bool,
    grants: Vec<Result<room::Grant>>,
) {
    let mut descriptors = Vec::new();
    let mut told = Vec::with_capacity(grants.len());
    let Some(guest) = books.guests.get_mut(&client) else { return };
    for grant in grants {
        let one = grant.and_then(|grant| {
            let (object, held) = (grant.object, grant.held);
            let info = books.room.known(object).ok_or_else(gone)?;
            describe(&books.vault, guest, info, grant, hold, &mut descriptors).inspect_err(|_| {
                if held {
                    // The client never learns of this hold, so it can't give it back.
                    let _ = books.room.release(client, object, 1);
                }
            })
        });
        told.push(one);
    }
    guest.outbox.reply_with(request, Got { grants: told }, descriptors);
}

fn gone() -> Error {
    Error::new(Kind::NotFound, "the object was deleted at the same instant: ask again")
}

fn describe(
    vault: &Vault,
    guest: &mut Guest,
    info: Info,
    grant: room::Grant,
    hold: bool,
    descriptors: &mut Vec<OwnedFd>,
) -> Result<Grant> {
    let place = grant.place;
    let entry = vault.entries.get(&place.container);
    let mut told = Grant {
        info,
        object: 0,
        container: 0,
        segment: false,
        descriptor: false,
        offset: 0,
        inline: Bytes::new(),
    };
    if !hold {
        return Ok(told);
    }
    if !grant.held {
        if let Some(Entry::Segment(segment)) = entry {
            let bytes = segment.read(place.offset, place.len).ok_or_else(gone)?;
            told.inline = Bytes::copy_from_slice(bytes);
        }
        return Ok(told);
    }
    told.object = grant.object.0;
    told.container = place.container.0;
    told.segment = matches!(entry, Some(Entry::Segment(_)));
    told.offset = place.offset;
    if !guest.known.contains(&place.container) {
        descriptors.push(reopen(entry)?);
        guest.known.insert(place.container);
        told.descriptor = true;
    }
    Ok(told)
}

/// A fresh read-only description of a container, for a reader.
pub(super) fn reopen(entry: Option<&Entry>) -> Result<OwnedFd> {
    match entry {
        Some(Entry::Large(memfd)) => memfd.reopen_read(),
        Some(Entry::Segment(segment)) => segment.reopen_read(),
        _ => Err(Error::new(Kind::Internal, "a sealed object without memory")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::keeper::Session;
    use super::*;
    use crate::object::{ObjectKind, Peer, PutOptions};
    use crate::protocol::frame::Frame;
    use crate::protocol::message::{Delete, Get, Label, Put, PutItem, Request};
    use crate::room::Config;

    fn ask(keeper: &Arc<Keeper>, session: &Session, request: impl Into<Request>) {
        let request = request.into();
        let mut body = Vec::new();
        request.put(&mut body);
        keeper.handle(
            session,
            Frame { code: request.code(), id: 1, descriptors: 0, body: body.into() },
        );
    }

    #[tokio::test(flavor = "current_thread")]
    async fn a_retired_container_is_known_by_nobody_any_more() {
        let config = Config::for_budget(16 << 20);
        let config = Config { segment_bytes: 64 << 10, small_bytes: 16 << 10, ..config };
        let keeper = Keeper::new(config, tokio::runtime::Handle::current(), None).unwrap();
        let peer = Peer { pid: 1, uid: 0, command: "test".into() };
        let (writer, reader) = (keeper.connect(peer.clone()), keeper.connect(peer));
        let known = || keeper.lock().guests[&reader.client].known.len();
        let names = ["a", "b", "c", "d", "e"].map(|text| Name::new(text).unwrap());
        for name in names.clone() {
            let label = Label::new(name, ObjectKind::Bytes, &PutOptions::default());
            let data = Bytes::from(vec![1; 15 << 10]);
            ask(&keeper, &writer, Put { items: vec![PutItem { label, data }] });
        }
        let get = Get { timeout_ms: 0, hold: true, names: vec![names[0].clone()] };
        ask(&keeper, &reader, get);
        assert_eq!(known(), 1);
        keeper.lock().room.release(reader.client, ObjectId(1), 1).unwrap();

        for name in names.into_iter().take(4) {
            ask(&keeper, &writer, Delete { name });
        }

        assert_eq!(known(), 0);
    }
}

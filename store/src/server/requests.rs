//! What a client asks for, one function for each message.
//!
//! A request that may wait gets a ticket and is answered by an effect; the others are answered
//! here. Nothing that a client sends makes this panic or wait.

use std::sync::Arc;

use bytes::Bytes;

use super::effects;
use super::keeper::{Books, Keeper, Session, shutting_down};
use super::routes::{Batch, Route};
use super::vault::Entry;
use crate::error::{Error, Kind, Result};
use crate::object::{Info, MAX_METADATA_BYTES, ObjectKind};
use crate::protocol::frame::{Frame, MAX_DESCRIPTORS};
use crate::protocol::message::{
    self, Counted, Counter, Done, Evicted, Fetch, Fetched, Get, Label, List, Listed, Open, Put,
    PutItem, Release, Reply, Request, Seal, Seen, Watch,
};
use crate::protocol::wire::Wire;
use crate::room::{self, ContainerId, Create, ObjectId, Ticket};

/// The most objects in one put frame: the others want their turn too.
pub(crate) const MAX_ITEMS: usize = 1024;

/// The most bytes of infos in one list reply.
const LIST_BYTES: usize = 1 << 20;

/// The most infos in one list reply.
const LIST_ITEMS: usize = 1000;

impl Keeper {
    /// Handles one frame of a client.
    pub(super) fn handle(self: &Arc<Self>, session: &Session, frame: Frame) {
        self.awake.note();
        let id = frame.id;
        let outcome = Request::take(frame.code, frame.body)
            .and_then(|request| self.dispatch(session, id, request));
        match outcome {
            Ok(Some(reply)) => session.outbox.reply(id, reply),
            Ok(None) => {}
            Err(error) => session.outbox.fail(id, &error),
        }
    }

    fn dispatch(
        self: &Arc<Self>,
        session: &Session,
        id: u64,
        request: Request,
    ) -> Result<Option<Reply>> {
        match request {
            Request::Hello(_) => Err(Error::new(Kind::Invalid, "a second hello")),
            Request::Create(create) => self.create(session, id, create),
            Request::Grow(grow) => self.grow(session, id, &grow),
            Request::Seal(seal) => self.seal(session, id, seal),
            Request::Abort(abort) => self.quick(|books| {
                books.room.abort(session.client, ObjectId(abort.object))?;
                Ok(Done {}.into())
            }),
            Request::Put(put) => self.put(session, id, put),
            Request::Get(get) => self.get(session, id, get),
            Request::Release(release) => self.release(session, &release),
            Request::Fetch(fetch) => self.fetch(session, id, &fetch),
            Request::Open(open) => self.open(session, id, &open),
            Request::Delete(delete) => self.quick(|books| {
                books.room.delete(session.client, &delete.name)?;
                Ok(Done {}.into())
            }),
            Request::List(list) => self.list(&list),
            Request::Look(look) => self.quick(|books| {
                let info = books.room.info(&look.name, look.holders)?;
                Ok(Seen { info }.into())
            }),
            Request::Watch(watch) => self.watch(session, id, &watch),
            Request::Cancel(cancel) => self.cancel(session, cancel.request),
            Request::Count(_) => self.quick(|books| Ok(counters(books))),
            Request::Query(query) => self.query(session, id, query),
            Request::Evict(evict) => {
                self.quick(|books| Ok(Evicted { bytes: books.room.evict(evict.bytes) }.into()))
            }
        }
    }

    /// A request that is answered at once, under the lock.
    fn quick(
        self: &Arc<Self>,
        act: impl FnOnce(&mut Books) -> Result<Reply>,
    ) -> Result<Option<Reply>> {
        let mut books = self.lock();
        let reply = act(&mut books);
        self.settle(&mut books);
        reply.map(Some)
    }

    fn create(
        self: &Arc<Self>,
        session: &Session,
        id: u64,
        create: message::Create,
    ) -> Result<Option<Reply>> {
        let create = self.admit(create.label, create.bytes)?;
        self.defer(session, Route::Draft { request: id }, |books, now_ms, ticket| {
            books.room.create(now_ms, session.client, ticket, create);
        })
    }

    fn grow(
        self: &Arc<Self>,
        session: &Session,
        id: u64,
        grow: &message::Grow,
    ) -> Result<Option<Reply>> {
        let deadline_ms = self.deadline(grow.wait_ms);
        let object = ObjectId(grow.object);
        self.defer(session, Route::Draft { request: id }, |books, now_ms, ticket| {
            books.room.grow(now_ms, session.client, ticket, object, grow.bytes, deadline_ms);
        })
    }

    fn put(self: &Arc<Self>, session: &Session, id: u64, put: Put) -> Result<Option<Reply>> {
        if put.items.is_empty() || put.items.len() > MAX_ITEMS {
            let message = format!("a put has 1 to {MAX_ITEMS} items, not {}", put.items.len());
            return Err(Error::new(Kind::Invalid, message));
        }
        // Checked before the lock is taken: others need not wait for it.
        let checked: Vec<_> = put
            .items
            .into_iter()
            .map(|PutItem { label, data }| {
                let facts = check_small(label.kind, &data)?;
                Ok::<_, Error>((self.admit(label, data.len() as u64)?, facts, data))
            })
            .collect();
        let batch = Batch::new(id, checked.len());
        let mut books = self.lock();
        let now_ms = self.now_ms();
        for (index, item) in checked.into_iter().enumerate() {
            match item {
                Ok((create, (rows, batches), data)) => {
                    let ticket = books.ticket();
                    session.outbox.add_pending(data.len());
                    let route = Route::Item { batch: batch.clone(), index, data };
                    if let Some(guest) = books.guests.get_mut(&session.client) {
                        guest.routes.insert(ticket, route);
                    }
                    books.room.put(now_ms, session.client, ticket, create, rows, batches);
                    // Before the next item, which may replace or drop this one.
                    self.carry_out_all(&mut books);
                    keep_own_bytes(&mut books, session, ticket);
                }
                Err(error) => batch.decide(index, Err(error), &session.outbox),
            }
        }
        self.settle(&mut books);
        Ok(None)
    }

    fn get(self: &Arc<Self>, session: &Session, id: u64, get: Get) -> Result<Option<Reply>> {
        if get.names.is_empty() || get.names.len() > MAX_DESCRIPTORS {
            let message = format!(
                "a get has 1 to {MAX_DESCRIPTORS} names, not {}: split it",
                get.names.len()
            );
            return Err(Error::new(Kind::Invalid, message));
        }
        let waits = get.timeout_ms > 0 && !self.is_draining();
        let deadline_ms = waits.then(|| self.now_ms().saturating_add(get.timeout_ms));
        let Get { names, hold, .. } = get;
        self.defer(session, Route::Got { request: id, hold }, |books, now_ms, ticket| {
            books.room.get(now_ms, session.client, ticket, names, deadline_ms, hold);
        })
    }

    fn release(self: &Arc<Self>, session: &Session, release: &Release) -> Result<Option<Reply>> {
        let mut books = self.lock();
        let mut outcome = Ok(None);
        for released in &release.objects {
            let times = u64::from(released.times);
            if let Err(error) = books.room.release(session.client, ObjectId(released.object), times)
            {
                outcome = Err(error);
            }
        }
        if let Some(guest) = books.guests.get_mut(&session.client) {
            for container in &release.forget {
                guest.known.remove(&ContainerId(*container));
            }
        }
        self.settle(&mut books);
        let forgotten = release.forget.iter().take(MAX_ITEMS).map(|id| ContainerId(*id));
        self.probe(&mut books, forgotten);
        outcome
    }

    /// Sends a container's descriptor again to a client that holds an object in it.
    fn fetch(self: &Arc<Self>, session: &Session, id: u64, fetch: &Fetch) -> Result<Option<Reply>> {
        let mut books = self.lock();
        let object = ObjectId(fetch.object);
        let place = books.room.held_place(session.client, object).ok_or_else(|| {
            Error::new(Kind::Invalid, format!("object {} is not held here", fetch.object))
        })?;
        let descriptor = effects::reopen(books.vault.entries.get(&place.container))?;
        if let Some(guest) = books.guests.get_mut(&session.client) {
            guest.known.insert(place.container);
        }
        let fetched = Fetched { container: place.container.0 };
        session.outbox.reply_with(id, fetched, vec![descriptor]);
        Ok(None)
    }

    /// Sends the descriptor of a segment, into which the index has led the client.
    fn open(self: &Arc<Self>, session: &Session, id: u64, open: &Open) -> Result<Option<Reply>> {
        let mut books = self.lock();
        let container = ContainerId(open.container);
        let entry = books.vault.entries.get(&container);
        if !matches!(entry, Some(Entry::Segment(_))) {
            let message = format!("container {} is no segment, or is gone", open.container);
            return Err(Error::new(Kind::NotFound, message));
        }
        let descriptor = effects::reopen(entry)?;
        if let Some(guest) = books.guests.get_mut(&session.client) {
            guest.known.insert(container);
        }
        session.outbox.reply_with(id, Fetched { container: open.container }, vec![descriptor]);
        Ok(None)
    }

    fn list(self: &Arc<Self>, list: &List) -> Result<Option<Reply>> {
        let after = (!list.after.is_empty()).then_some(&list.after[..]);
        let books = self.lock();
        let (mut infos, more) = books.room.list(&list.prefix, after, LIST_ITEMS, list.holders);
        drop(books);
        // Metadata may be large: who wants it asks for the one object.
        infos.iter_mut().for_each(|info| info.metadata = [].into());
        let all = infos.len();
        let infos = first_bytes(infos);
        let more = more || infos.len() < all;
        Ok(Some(Listed { infos, more }.into()))
    }

    fn watch(self: &Arc<Self>, session: &Session, id: u64, watch: &Watch) -> Result<Option<Reply>> {
        let Watch { prefix, replay } = watch;
        let mut books = self.lock();
        let ticket = books.ticket();
        if let Some(guest) = books.guests.get_mut(&session.client) {
            guest.routes.insert(ticket, Route::Watch { request: id });
        }
        let watched = books.room.watch(session.client, ticket, prefix.to_vec(), *replay);
        if let Some(guest) = books.guests.get_mut(&session.client) {
            if watched.is_ok() {
                guest.routes.wait(ticket);
            } else {
                guest.routes.remove(ticket);
            }
        }
        if *replay {
            self.begin_replay(&mut books, session, ticket);
        }
        self.settle(&mut books);
        watched.map(|()| None)
    }

    fn cancel(self: &Arc<Self>, session: &Session, request: u64) -> Result<Option<Reply>> {
        let mut books = self.lock();
        let Some(guest) = books.guests.get(&session.client) else { return Ok(None) };
        for ticket in guest.routes.of_request(request) {
            if !self.end_statement(&mut books, session, ticket) {
                books.room.cancel(session.client, ticket);
            }
        }
        self.settle(&mut books);
        Ok(None)
    }

    /// Gives the request a ticket and lets the room decide, now or later.
    fn defer(
        self: &Arc<Self>,
        session: &Session,
        route: Route,
        act: impl FnOnce(&mut Books, u64, Ticket),
    ) -> Result<Option<Reply>> {
        let mut books = self.lock();
        let ticket = books.ticket();
        if let Some(guest) = books.guests.get_mut(&session.client) {
            guest.routes.insert(ticket, route);
        }
        act(&mut books, self.now_ms(), ticket);
        self.settle(&mut books);
        if let Some(guest) = books.guests.get_mut(&session.client) {
            guest.routes.wait(ticket);
        }
        Ok(None)
    }

    fn deadline(&self, wait_ms: u64) -> Option<u64> {
        (wait_ms > 0).then(|| self.now_ms().saturating_add(wait_ms))
    }

    /// Checks what every put says of its object.
    fn admit(&self, label: Label, bytes: u64) -> Result<Create> {
        if self.is_draining() {
            return Err(shutting_down());
        }
        if label.metadata.len() > MAX_METADATA_BYTES {
            let message = format!(
                "object {} has {} bytes of metadata; the limit is {MAX_METADATA_BYTES}: put them \
                 into an object of their own",
                label.name,
                label.metadata.len()
            );
            return Err(Error::new(Kind::Invalid, message));
        }
        Ok(Create {
            name: label.name,
            kind: label.kind,
            bytes,
            replace: label.replace,
            replaces: (label.replaces > 0).then_some(ObjectId(label.replaces)),
            droppable: label.droppable,
            // An empty one is shared, and costs nothing.
            metadata: match label.metadata.is_empty() {
                true => Default::default(),
                false => label.metadata[..].into(),
            },
            deadline_ms: self.deadline(label.wait_ms),
        })
    }

    fn seal(self: &Arc<Self>, session: &Session, id: u64, seal: Seal) -> Result<Option<Reply>> {
        let object = ObjectId(seal.object);
        let Some(kind) = self.lock().room.small_draft(session.client, object)? else {
            return self.seal_large(session, id, object, seal.len);
        };
        if seal.len != seal.data.len() as u64 {
            let message =
                format!("the seal says {} bytes and brings {}", seal.len, seal.data.len());
            return Err(Error::new(Kind::Invalid, message));
        }
        let (rows, batches) = check_small(kind, &seal.data).inspect_err(|_| {
            // As with a large draft whose bytes are wrong: it can't become an object.
            let mut books = self.lock();
            let _ = books.room.abort(session.client, object);
            self.settle(&mut books);
        })?;
        let sealed = room::Seal { object, len: seal.len, rows, batches };
        let route = Route::Seal { request: id, data: seal.data };
        self.defer(session, route, |books, now_ms, ticket| {
            books.room.seal_small(now_ms, session.client, ticket, sealed);
        })
    }
}

/// An item that waits keeps its own bytes, not all of the frame it came in.
fn keep_own_bytes(books: &mut Books, session: &Session, ticket: Ticket) {
    let guest = books.guests.get_mut(&session.client);
    if let Some(Route::Item { data, .. }) = guest.and_then(|guest| guest.routes.wait(ticket)) {
        *data = Bytes::copy_from_slice(data);
    }
}

/// Rows and batches of a small table, or why it is none; nothing for opaque bytes.
fn check_small(kind: ObjectKind, data: &Bytes) -> Result<(u64, u64)> {
    if kind == ObjectKind::Bytes {
        return Ok((0, 0));
    }
    let mut aligned = arrow_buffer::MutableBuffer::with_capacity(data.len());
    aligned.extend_from_slice(data);
    let file = sheaf_ipc::File::open(aligned.into())?;
    Ok((file.num_rows(), file.num_batches() as u64))
}

/// As many infos as fit a reply. Pages go on behind a name, so what is cut in the middle of one
/// comes whole on the next page; only of a name that fills a page alone the rest is left out.
fn first_bytes(mut infos: Vec<Info>) -> Vec<Info> {
    let mut bytes = 0;
    let mut scratch = Vec::new();
    let fits = |info: &&Info| {
        let first = bytes == 0;
        scratch.clear();
        info.put(&mut scratch);
        bytes += scratch.len();
        first || bytes <= LIST_BYTES
    };
    let fitting = infos.iter().take_while(fits).count();
    if let Some(cut) = infos.get(fitting) {
        let whole = infos.iter().take_while(|info| info.name != cut.name).count();
        infos.truncate(if whole > 0 { whole } else { fitting });
    }
    infos
}

fn counters(books: &Books) -> Reply {
    let stat = books.room.stat();
    let counters = [
        ("budget_bytes", stat.budget_bytes),
        ("free_bytes", stat.free_bytes),
        ("sealed_bytes", stat.sealed_bytes),
        ("draft_bytes", stat.draft_bytes),
        ("retired_bytes", stat.retired_bytes),
        ("slack_bytes", stat.slack_bytes),
        ("pool_bytes", stat.pool_bytes),
        ("index_bytes", books.index.bytes()),
        ("names", stat.names),
        ("objects", stat.objects),
        ("drafts", stat.drafts),
        ("droppable", stat.droppable),
        ("held", stat.held),
        ("held_bytes", stat.held_bytes),
        ("segments", stat.segments),
        ("pooled", stat.pooled),
        ("pooled_ready", stat.pooled_ready),
        ("retiring", stat.retiring),
        ("clients", stat.clients),
        ("waits", stat.waits),
        ("queued", stat.queued),
        ("watches", stat.watches),
        ("puts", stat.puts),
        ("put_bytes", stat.put_bytes),
        ("gets", stat.gets),
        ("hits", stat.hits),
        ("get_bytes", stat.get_bytes),
        ("deletes", stat.deletes),
        ("evictions", stat.evictions),
        ("expirations", stat.expirations),
        ("moved_bytes", stat.moved_bytes),
    ];
    let counters = counters
        .into_iter()
        .map(|(name, value)| Counter { name: name.to_owned(), value })
        .collect();
    Counted { counters }.into()
}

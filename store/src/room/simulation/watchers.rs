//! Watchers with a replay: what they hear, and when, is what the observer hears and the model has.

use super::super::{ClientId, Effect, ObjectId, Ticket};
use super::model::{Phase, Request};
use super::steps::{OBSERVER, World};
use crate::object::{Event, EventKind, Name};

/// The watch that shows the model what happens.
pub(super) const OBSERVING: (ClientId, Ticket) = (OBSERVER, Ticket(1));

/// A watch that began with a replay.
pub(super) struct Watcher {
    ticket: Ticket,
    prefix: Vec<u8>,
    began_at: ObjectId,
    /// How far its replay has come; none once it has ended.
    replay: Option<Option<Name>>,
    /// What it was told in this step, and what it should have been.
    heard: Vec<(EventKind, Name)>,
    due: Vec<(EventKind, Name)>,
}

impl Watcher {
    fn hears(&self, name: &Name) -> bool {
        let passed = match &self.replay {
            Some(passed) => passed.as_ref().is_some_and(|passed| name <= passed),
            None => true,
        };
        passed && name.as_bytes().starts_with(&self.prefix)
    }
}

impl World {
    /// A new watcher, or the next page of one that there is.
    pub(super) fn watch(&mut self) {
        if self.watchers.len() >= 3 || self.random.one_in(2) {
            return self.turn_page();
        }
        let ticket = Ticket(self.number());
        let prefix = match self.random.below(3) {
            0 => self.name().as_bytes()[..1].to_vec(),
            _ => Vec::new(),
        };
        self.room.watch(OBSERVER, ticket, prefix.clone(), true).unwrap();
        let began_at = ObjectId(self.model.last_object);
        let (heard, due) = (Vec::new(), Vec::new());
        self.watchers.push(Watcher { ticket, prefix, began_at, replay: Some(None), heard, due });
        self.obey(None);
    }

    fn turn_page(&mut self) {
        let all: Vec<_> = (0..self.watchers.len()).collect();
        let Some(index) = self.random.pick(&all) else { return };
        let most = 1 + self.random.below(3) as usize;
        let (due, passed) = self.page(&self.watchers[index], most);
        let watcher = &mut self.watchers[index];
        let more = self.room.replay(OBSERVER, watcher.ticket, most);
        assert_eq!(more, passed.is_some());
        watcher.replay = passed.map(Some);
        let told = self.room.take_effects().into_iter().map(|effect| match effect {
            Effect::Event { ticket, event, .. } if ticket == watcher.ticket => {
                (event.kind, event.name)
            }
            other => panic!("a page brings {other:?}"),
        });
        assert_eq!(told.collect::<Vec<_>>(), due);
        self.pages += 1;
        self.obey(None);
    }

    /// What the next page must tell, and how far it goes if it is not the last.
    fn page(&self, watcher: &Watcher, most: usize) -> (Vec<(EventKind, Name)>, Option<Name>) {
        let mut due = Vec::new();
        let Some(passed) = &watcher.replay else { return (due, None) };
        let mut names = self.names.clone();
        names.sort();
        let rest = names.into_iter().filter(|name| passed.as_ref().is_none_or(|p| name > p));
        for name in rest.filter(|name| name.as_bytes().starts_with(&watcher.prefix)) {
            due.extend(self.model.sealed(&name).map(|_| (EventKind::Sealed, name.clone())));
            let young = self.model.objects.range(watcher.began_at..).filter(|(id, object)| {
                **id > watcher.began_at
                    && object.name == name
                    && matches!(object.phase, Phase::Draft | Phase::Sealing)
            });
            due.extend(young.map(|_| (EventKind::Created, name.clone())));
            if due.len() >= most {
                return (due, Some(name));
            }
        }
        (due, None)
    }

    pub(super) fn unwatch(&mut self) {
        let Some(Watcher { ticket, .. }) = self.watchers.pop() else { return };
        let empty = Request::Get { slots: Vec::new(), hold: false, waits: true };
        self.model.asked.insert((OBSERVER, ticket), (empty, u64::MAX));
        self.cancelling = Some(ticket);
        self.room.cancel(OBSERVER, ticket);
        self.obey(None);
        self.cancelling = None;
        assert!(!self.room.replay(OBSERVER, ticket, 1), "a replay outlives its watch");
    }

    /// Something happened: who must hear of it?
    pub(super) fn happened(&mut self, event: &Event) {
        for watcher in self.watchers.iter_mut().filter(|watcher| watcher.hears(&event.name)) {
            watcher.due.push((event.kind, event.name.clone()));
        }
    }

    pub(super) fn heard(&mut self, ticket: Ticket, event: Event) {
        let mut watchers = self.watchers.iter_mut();
        let watcher = watchers.find(|watcher| watcher.ticket == ticket).expect("it watches");
        watcher.heard.push((event.kind, event.name));
    }

    /// Nothing was missed or told twice.
    pub(super) fn check_watchers(&mut self) {
        for watcher in &mut self.watchers {
            assert_eq!(watcher.heard, watcher.due, "{:?}", watcher.ticket);
            watcher.heard.clear();
            watcher.due.clear();
        }
    }
}

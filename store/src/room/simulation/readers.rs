//! What readers do: get, release, cancel, delete, list, each rightly or wrongly.

use super::super::Ticket;
use super::model::{Fate, Phase, Request};
use super::steps::World;

impl World {
    pub(super) fn get(&mut self) {
        let client = self.client();
        let names: Vec<_> = (0..self.random.below(4)).map(|_| self.name()).collect();
        let (deadline_ms, hold) = (self.deadline(), self.random.below(4) > 0);
        let waiting = self.model.asked.keys().filter(|(asker, _)| *asker == client).count();
        if waiting >= 6 {
            return;
        }
        let known = self.model.clients.contains(&client);
        let slots = names.iter().map(|name| match self.model.sealed(name).filter(|_| known) {
            Some(object) => {
                self.model.touch(object);
                (name.clone(), Fate::Found(object))
            }
            None => (name.clone(), Fate::Open),
        });
        let slots = slots.collect();
        let request = Request::Get { slots, hold, waits: deadline_ms.is_some() };
        let ticket = self.ask(client, request, deadline_ms);
        self.room.get(self.now_ms, client, ticket, names, deadline_ms, hold);
        self.obey(None);
    }

    pub(super) fn release(&mut self) {
        let (_, object) = self.target(&[Phase::Sealed, Phase::Retired]);
        let holders = self.model.objects.get(&object).map(|o| o.holds.clone()).unwrap_or_default();
        let holders: Vec<_> = holders.into_iter().collect();
        let stranger = (self.client(), 0);
        let (client, holds) = self.pick_or(&holders, stranger);
        let times = 1 + self.random.below(holds + 1);
        let result = self.room.release(client, object, times);
        assert_eq!(result.is_ok(), holds >= times, "{result:?}");
        if holds >= times {
            let held = &mut self.model.objects.get_mut(&object).unwrap().holds;
            held.insert(client, holds - times);
            held.retain(|_, holds| *holds > 0);
            self.model.settle(object);
        }
        self.obey(None);
    }

    pub(super) fn cancel(&mut self) {
        let asked: Vec<_> = self.model.asked.keys().copied().collect();
        let unknown = (self.client(), Ticket(7_777_777));
        let (client, ticket) = self.pick_or(&asked, unknown);
        self.cancelling = Some(ticket);
        self.room.cancel(client, ticket);
        let asked = self.model.asked.get(&(client, ticket)).cloned();
        if let Some((Request::Get { slots, .. }, _)) = asked {
            // Its holds end with it; the answer is checked like any other.
            let empty = Request::Get { slots: Vec::new(), hold: false, waits: true };
            self.model.asked.insert((client, ticket), (empty, u64::MAX));
            for (_, fate) in slots {
                if let Fate::Found(object) = fate {
                    self.model.settle(object);
                }
            }
        }
        self.obey(None);
        assert!(!self.model.asked.contains_key(&(client, ticket)), "cancelled and not answered");
        self.cancelling = None;
    }

    pub(super) fn delete(&mut self) {
        let (client, name) = (self.client(), self.name());
        let sealed = self.model.sealed(&name).filter(|_| self.model.clients.contains(&client));
        let result = self.room.delete(client, &name);
        assert_eq!(result.is_ok(), sealed.is_some(), "{result:?}");
        if let Some(object) = sealed {
            self.model.must_go.push(name.clone());
            self.model.bound.remove(&name);
            self.model.unbind(object);
        }
        self.obey(None);
    }

    pub(super) fn evict(&mut self) {
        let bytes = self.bytes();
        self.room.evict(bytes);
        self.obey(None);
    }

    pub(super) fn look(&mut self) {
        let after = self.name();
        let limit = 1 + self.random.below(5) as usize;
        let (all, _) = self.room.list(b"", None, usize::MAX, false);
        let (page, more) = self.room.list(b"", Some(after.as_bytes()), limit, false);
        let rest: Vec<_> = all.iter().filter(|info| info.name > after).collect();
        assert!(page.len() <= limit && more == (rest.len() > page.len()));
        assert!(page.iter().zip(rest).all(|(left, right)| left.name == right.name));
        assert!(all.is_sorted_by(|left, right| left.name < right.name));
    }
}

//! Things that are kept for somebody who may not come: so many, and not for ever.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use sheaf_store::sql::Session;

/// How many random bytes an id has: nobody guesses one.
const ID_BYTES: usize = 16;

struct Kept<T> {
    what: T,
    owner: Owner,
    used: Instant,
}

/// Whose a thing is: a session's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Owner(usize);

impl Owner {
    pub(super) fn of(session: &Arc<dyn Session>) -> Self {
        Self(Arc::as_ptr(session).addr())
    }
}

/// Things by ids that nobody guesses. Who has the most makes room, with what was not used for
/// longest: nobody pushes out what is another's by asking for more.
pub(super) struct Shelf<T> {
    kept: Mutex<HashMap<Bytes, Kept<T>>>,
    most: usize,
    idle: Duration,
}

impl<T: Clone + Send + 'static> Shelf<T> {
    pub(super) fn new(most: usize, idle: Duration) -> Self {
        Self { kept: Mutex::default(), most, idle }
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<Bytes, Kept<T>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps something; its id. It is gone when nobody has used it for the shelf's time.
    pub(super) fn put(self: &Arc<Self>, owner: Owner, what: T) -> Bytes {
        let id = fresh_id();
        let mut kept = self.kept();
        if kept.len() >= self.most
            && let Some(id) = to_go(&kept, owner)
        {
            kept.remove(&id);
        }
        kept.insert(id.clone(), Kept { what, owner, used: Instant::now() });
        drop(kept);
        let shelf = Arc::downgrade(self);
        let (own, idle) = (id.clone(), self.idle);
        tokio::spawn(async move {
            let mut left = idle;
            loop {
                tokio::time::sleep(left).await;
                let Some(shelf) = shelf.upgrade() else { return };
                match shelf.expire(&own) {
                    Some(rest) => left = rest,
                    None => return,
                }
            }
        });
        id
    }

    /// Takes it away when its time is over; else how much there is left of it.
    fn expire(&self, id: &Bytes) -> Option<Duration> {
        let mut kept = self.kept();
        let age = kept.get(id)?.used.elapsed();
        if age < self.idle {
            return Some(self.idle - age);
        }
        kept.remove(id);
        None
    }

    /// What has this id.
    pub(super) fn get(&self, id: &[u8]) -> Option<T> {
        let mut kept = self.kept();
        let found = kept.get_mut(id)?;
        found.used = Instant::now();
        Some(found.what.clone())
    }

    /// Takes away what has this id.
    pub(super) fn remove(&self, id: &[u8]) -> Option<T> {
        self.kept().remove(id).map(|kept| kept.what)
    }
}

/// What makes room for one thing more of this owner's.
fn to_go<T>(kept: &HashMap<Bytes, Kept<T>>, owner: Owner) -> Option<Bytes> {
    let mut counts = HashMap::new();
    kept.values().for_each(|kept| *counts.entry(kept.owner).or_insert(0) += 1);
    let own = counts.get(&owner).copied().unwrap_or(0);
    // Its own, unless somebody else has more even so.
    let most = counts.iter().max_by_key(|(_, count)| **count).filter(|(_, count)| **count > own);
    let from = most.map_or(owner, |(other, _)| *other);
    let all = kept.iter().filter(|(_, kept)| kept.owner == from);
    all.min_by_key(|(_, kept)| kept.used).map(|(id, _)| id.clone())
}

/// An id in hexadecimal digits: cookies are text.
fn fresh_id() -> Bytes {
    let mut id = [0; ID_BYTES];
    let flags = rustix::rand::GetRandomFlags::empty();
    // It fails only on kernels older than any that this runs on.
    let _ = rustix::rand::getrandom(&mut id, flags);
    id.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_oldest_makes_room_and_time_takes_the_rest() {
        let shelf = Arc::new(Shelf::new(2, Duration::from_millis(50)));
        let owner = Owner(0);
        let (first, second) = (shelf.put(owner, 1), shelf.put(owner, 2));
        assert_eq!(shelf.get(&first), Some(1));

        let third = shelf.put(owner, 3);
        assert_eq!((shelf.get(&first), shelf.get(&second)), (Some(1), None));
        assert_eq!(shelf.remove(&third), Some(3));
        assert_eq!(shelf.get(&third), None);

        std::thread::sleep(Duration::from_millis(60));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(shelf.get(&first), None);
    }
    #[tokio::test]
    async fn who_has_the_most_makes_room() {
        let shelf = Arc::new(Shelf::new(3, Duration::from_secs(60)));
        let (modest, greedy) = (Owner(1), Owner(2));
        let only = shelf.put(modest, 0);
        let many: Vec<_> = (1..10).map(|thing| shelf.put(greedy, thing)).collect();

        assert_eq!(shelf.get(&only), Some(0));
        let left: Vec<_> = many.iter().filter_map(|id| shelf.get(id)).collect();
        assert_eq!(left, [8, 9]);

        let second = shelf.put(modest, 10);
        assert_eq!(
            [&only, &second, &many[8]].map(|id| shelf.get(id)),
            [Some(0), Some(10), Some(9)]
        );
    }
}

//! Things that are kept for somebody who may not come: so many, and not for ever.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;

/// How many random bytes an id has: nobody guesses one.
const ID_BYTES: usize = 16;

struct Kept<T> {
    what: T,
    used: Instant,
}

/// Things by ids that nobody guesses. The one that was not used for longest makes room.
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
    pub(super) fn put(self: &Arc<Self>, what: T) -> Bytes {
        let id = fresh_id();
        let mut kept = self.kept();
        if kept.len() >= self.most {
            let oldest = kept.iter().min_by_key(|(_, kept)| kept.used).map(|(id, _)| id.clone());
            oldest.and_then(|oldest| kept.remove(&oldest));
        }
        kept.insert(id.clone(), Kept { what, used: Instant::now() });
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
        let (first, second) = (shelf.put(1), shelf.put(2));
        assert_eq!(shelf.get(&first), Some(1));

        let third = shelf.put(3);
        assert_eq!((shelf.get(&first), shelf.get(&second)), (Some(1), None));
        assert_eq!(shelf.remove(&third), Some(3));
        assert_eq!(shelf.get(&third), None);

        std::thread::sleep(Duration::from_millis(60));
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(shelf.get(&first), None);
    }
}

//! The far door's own way into the store: the near door's client, asked without blocking others.
//!
//! A call of the client takes some ten microseconds where nothing is waited for; one that waits,
//! or moves data, takes as long as it takes. All go to threads of their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use sheaf_store::{Client, Error, Kind};
use tokio::sync::Semaphore;
use tonic::Status;

use crate::status;

/// The most calls that may wait for something at a time (an object, room), of all clients.
const MOST_WAITS: usize = 256;

/// How long a wait lasts before it is asked whether anybody still waits for it.
const SLICE: Duration = Duration::from_millis(250);

/// The longest wait that a client may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// The store behind the endpoint. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Door {
    client: Client,
    waits: Arc<Semaphore>,
}

impl Door {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, waits: Arc::new(Semaphore::new(MOST_WAITS)) }
    }

    /// Asks the store something that it answers at once.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Client) -> sheaf_store::Result<T> + Send + 'static,
    ) -> Result<T, Status> {
        let client = self.client.clone();
        let asked = tokio::task::spawn_blocking(move || ask(&client)).await;
        let answer = asked.map_err(|error| Status::internal(format!("the call ended: {error}")))?;
        answer.map_err(|error| status::of(&error))
    }

    /// Asks the store something that it may answer late.
    pub(crate) async fn wait<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Client) -> sheaf_store::Result<T> + Send + 'static,
    ) -> Result<T, Status> {
        let Ok(_turn) = self.waits.clone().try_acquire_owned() else {
            let message = format!("{MOST_WAITS} calls wait already: try again later");
            return Err(status::of(&Error::new(Kind::Full, message)));
        };
        self.ask(ask).await
    }
    /// Asks the store for something that may come within `limit`, slice after slice of it, so that
    /// nobody waits for long for a client that has left.
    pub(crate) async fn wait_up_to<T: Send + 'static>(
        &self,
        limit: Duration,
        ask: impl Fn(&Client, Duration) -> sheaf_store::Result<T> + Send + 'static,
    ) -> Result<T, Status> {
        struct Left(Arc<AtomicBool>);

        impl Drop for Left {
            fn drop(&mut self) {
                self.0.store(true, Ordering::Relaxed);
            }
        }

        let limit = limit.min(LONGEST_WAIT);
        let has_left = Arc::new(AtomicBool::new(false));
        let _left = Left(has_left.clone());
        self.wait(move |client| {
            let start = Instant::now();
            loop {
                let left = limit.saturating_sub(start.elapsed());
                match ask(client, left.min(SLICE)) {
                    Err(error) if error.kind() == Kind::Timeout && left > SLICE => {}
                    outcome => return outcome,
                }
                if has_left.load(Ordering::Relaxed) {
                    return Err(Error::new(Kind::Interrupted, "the client has left"));
                }
            }
        })
        .await
    }
}

//! The far door's own way into the store: the near door's client, asked without blocking others.
//!
//! A call of the client takes some ten microseconds where nothing is waited for; one that waits,
//! or moves data, takes as long as it takes. All go to threads of their own.

use std::sync::Arc;

use sheaf_store::{Client, Kind};
use tokio::sync::Semaphore;
use tonic::Status;

use crate::status;

/// The most calls that may wait for something at a time (an object, room), of all clients.
const MOST_WAITS: usize = 256;

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
            return Err(status::of(&sheaf_store::Error::new(Kind::Full, message)));
        };
        self.ask(ask).await
    }
}

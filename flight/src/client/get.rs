//! Getting over the far door: a stream becomes an object in this process's memory.

use std::time::{Duration, Instant};

use arrow_flight::Ticket;
use futures_util::StreamExt;
use sheaf_store::{Info, Name, Object, Result};
use tonic::{Request, Status};

use super::FarClient;
use super::assembly::Assembly;
use super::link::Service;
use crate::facts;
use crate::get::Options;
use crate::names::{self, TicketBody};
use crate::status;

/// The most streams of one call at a time.
const STREAMS: usize = 8;

impl FarClient {
    /// Several objects, waiting for all of them up to `timeout`; one result for each name, in
    /// order.
    pub(super) fn fetch(&self, names: &[Name], timeout: Duration) -> Result<Vec<Result<Object>>> {
        let link = self.link()?;
        let start = Instant::now();
        let calls: Vec<_> = names
            .iter()
            .map(|name| {
                let (service, name) = (link.service(), name.clone());
                async move {
                    // Who asked for a time limit is told that it is over.
                    let left = timeout.saturating_sub(start.elapsed()).max(LEAST);
                    get(service, &name, (!timeout.is_zero()).then_some(left)).await
                }
            })
            .collect();
        let came = link.block(async move {
            Ok(futures_util::stream::iter(calls).buffered(STREAMS).collect::<Vec<_>>().await)
        })?;
        Ok(came.into_iter().map(|one| one.map_err(|status| link.error(&status))).collect())
    }
}

/// The shortest wait.
const LEAST: Duration = Duration::from_millis(1);

async fn get(service: Service, name: &Name, wait: Option<Duration>) -> Result<Object, Status> {
    let ticket = names::ticket(&TicketBody {
        max_message_bytes: Some(Options::LARGEST.message_bytes as u64),
        timeout_ms: wait.map(names::millis),
        ..TicketBody::of(name)
    });
    loop {
        if let Some(object) = try_get(service.clone(), &ticket).await? {
            return Ok(object);
        }
    }
}

/// The object of a ticket; nothing if it was replaced while it was asked for.
async fn try_get(mut service: Service, ticket: &Ticket) -> Result<Option<Object>, Status> {
    let mut request = Request::new(ticket.clone());
    facts::ask(request.metadata_mut());
    let response = service.do_get(request).await?;
    let told = facts::take(response.metadata().as_ref())?;
    let lacks_metadata = told.lacks_metadata();
    let mut info = told.into_info()?;
    if lacks_metadata {
        let whole = super::ask::info(service, info.name.clone(), false).await?;
        if !is_same(&whole, &info) {
            return Ok(None);
        }
        info.metadata = whole.metadata;
    }
    let mut stream = response.into_inner();
    let mut assembly = Assembly::new(info);
    while let Some(data) = stream.message().await? {
        assembly.message(data).map_err(|error| status::of(&error))?;
    }
    assembly.finish().map(Some).map_err(|error| status::of(&error))
}

/// Whether both were told of the same object.
fn is_same(one: &Info, other: &Info) -> bool {
    let facts = |info: &Info| (info.created_ms, info.sealed_ms, info.bytes, info.rows);
    facts(one) == facts(other)
}

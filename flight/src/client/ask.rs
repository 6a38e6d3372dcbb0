//! What is asked by actions: JSON there, JSON back.

use std::collections::BTreeMap;

use arrow_flight::Action;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sheaf_store::{Info, Name, Stat};
use tonic::Status;

use super::link::Service;
use crate::facts::Facts;
use crate::names;

/// Does an action; what comes of it.
pub(super) async fn act(
    mut service: Service,
    action: &'static str,
    body: Value,
) -> Result<Vec<Bytes>, Status> {
    let mut results = service.do_action(Action::new(action, body.to_string())).await?.into_inner();
    let mut bodies = Vec::new();
    while let Some(result) = results.message().await? {
        bodies.push(result.body);
    }
    Ok(bodies)
}

/// Does an action that has one result.
pub(super) async fn ask<T: DeserializeOwned>(
    service: Service,
    action: &'static str,
    body: Value,
) -> Result<T, Status> {
    match &act(service, action, body).await?[..] {
        [one] => read(action, one),
        results => {
            Err(Status::internal(format!("{action} has {} results, not one", results.len())))
        }
    }
}

pub(super) async fn info(service: Service, name: Name, holders: bool) -> Result<Info, Status> {
    let body = json!({"name": names::to_text(&name), "holders": holders});
    ask::<Facts>(service, "info", body).await?.into_info()
}

pub(super) async fn wait(service: Service, name: Name, limit_ms: u64) -> Result<Info, Status> {
    let body = json!({"name": names::to_text(&name), "timeout_ms": limit_ms});
    ask::<Facts>(service, "wait", body).await?.into_info()
}

pub(super) async fn list(
    service: Service,
    prefix: String,
    holders: bool,
) -> Result<Vec<Info>, Status> {
    let body = json!({"prefix": prefix, "holders": holders});
    let listed = act(service, "list", body).await?;
    listed.iter().map(|one| read::<Facts>("list", one)?.into_info()).collect()
}

pub(super) async fn stat(service: Service, url: String) -> Result<Stat, Status> {
    #[derive(Deserialize)]
    struct Counted {
        store: String,
        version: String,
        pid: u32,
        counters: BTreeMap<String, u64>,
    }

    let Counted { store, version, pid, counters } = ask(service, "stat", json!({})).await?;
    Ok(Stat::new(counters.into_iter().collect(), (store, pid, version), url))
}

fn read<T: DeserializeOwned>(action: &str, body: &[u8]) -> Result<T, Status> {
    serde_json::from_slice(body).map_err(|error| {
        Status::internal(format!(
            "what {action} answered is not understood: {error}: is it a store of another version?"
        ))
    })
}

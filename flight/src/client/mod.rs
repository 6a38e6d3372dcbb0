//! Clients of both doors: a URL leads to a store, and the store is mapped where it can be.
//!
//! ```text
//! connect(url) ─┬─ unix:…  ──────────────────────────────▶ near door: mapped
//!               └─ grpc:… ─▶ far door ─ the same store's near door is here ─▶ near door: mapped
//!                               └────── it is not ──────▶ far door: streamed
//!
//! FarClient ─▶ Link (threads, HTTP/2)
//!   ├─ put: batches ─▶ messages ─▶ DoPut
//!   ├─ get: DoGet ─▶ messages ─▶ Assembly ─▶ Object, in this process's memory
//!   └─ the rest: actions, in JSON
//! ```
//!
//! What comes of a get is the same [`Object`] as at the near door: an Arrow IPC file, aligned and
//! checked, only in memory of one's own.

mod ask;
mod assembly;
mod get;
mod link;
mod near;
mod options;
mod put;
mod sql;
mod url;

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use serde_json::{Value, json};
use sheaf_store::{
    Client, Error, Info, Kind, Name, Object, PutOptions, Result, Stat, Store, Writer,
};
use tonic::Status;

pub use self::options::{FarOptions, FarTls};

use self::link::{Link, Service};
use self::put::FarWriter;
use self::url::{FarUrl, Url};
use crate::names;
use crate::service::hint::Hint;

/// A store by one of its doors.
#[derive(Clone, Debug)]
pub enum AnyDoor {
    /// It is on this machine: its objects are mapped.
    Near(Client),
    /// Its objects are streamed.
    Far(FarClient),
}

/// Connects to the store at `url`: `unix:PATH` or a plain path, `grpc://HOST:PORT`,
/// `grpc+tls://HOST:PORT`, `grpc+unix:///PATH`. The URL of a far door whose store is on this
/// machine leads to its near door, unless the options say otherwise.
///
/// # Errors
/// [`Kind::Unavailable`] when no store answers there, [`Kind::Denied`] when it lets this client
/// not in, [`Kind::Invalid`] for another kind of URL.
pub fn connect(url: &str, options: &FarOptions) -> Result<AnyDoor> {
    let url = match Url::parse(url)? {
        Url::Near(url) => {
            return sheaf_store::connect_with(&url, &options.connect).map(AnyDoor::Near);
        }
        Url::Far(url) => url,
    };
    let far = FarClient::new(url, options)?;
    let hint = far.hint()?;
    let near = (!options.always_stream).then(|| near::same_store(&hint, &options.connect));
    Ok(near.flatten().map_or(AnyDoor::Far(far), AnyDoor::Near))
}

impl AnyDoor {
    /// The store, whichever door it is.
    #[must_use]
    pub fn store(&self) -> &(dyn Store + 'static) {
        match self {
            Self::Near(near) => near,
            Self::Far(far) => far,
        }
    }

    /// The client of the near door, if it is that.
    #[must_use]
    pub fn near(&self) -> Option<&Client> {
        match self {
            Self::Near(near) => Some(near),
            Self::Far(_) => None,
        }
    }

    /// The URL of the door.
    #[must_use]
    pub fn url(&self) -> String {
        match self {
            Self::Near(near) => format!("unix:{}", near.socket().display()),
            Self::Far(far) => far.url(),
        }
    }
}

impl std::ops::Deref for AnyDoor {
    type Target = dyn Store + 'static;

    fn deref(&self) -> &(dyn Store + 'static) {
        self.store()
    }
}

/// A store, through the far door. Cheap to clone; clones share the connection.
///
/// Blocking, thread-safe and fork-safe, as [`Client`]; calls are made on threads of its own.
#[derive(Clone)]
pub struct FarClient(Arc<Inner>);

struct Inner {
    url: FarUrl,
    options: FarOptions,
    link: Mutex<Option<Arc<Link>>>,
}

impl FarClient {
    /// Connects to the endpoint at `url`, and streams whatever it gets.
    ///
    /// # Errors
    /// As [`connect`]; [`Kind::Invalid`] for a URL of the near door.
    pub fn connect(url: &str, options: &FarOptions) -> Result<Self> {
        let Url::Far(url) = Url::parse(url)? else {
            let message = format!("{url} is no URL of a far door: give grpc://HOST:PORT");
            return Err(Error::new(Kind::Invalid, message));
        };
        let client = Self::new(url, options)?;
        // Who is not let in, or has found no store, learns it now.
        client.hint()?;
        Ok(client)
    }

    fn new(url: FarUrl, options: &FarOptions) -> Result<Self> {
        let inner = Inner { url, options: options.clone(), link: Mutex::default() };
        let client = Self(Arc::new(inner));
        client.link()?;
        Ok(client)
    }

    /// The connection, made anew when this is a forked child.
    fn link(&self) -> Result<Arc<Link>> {
        let mut slot = self.0.link.lock().unwrap_or_else(PoisonError::into_inner);
        match slot.as_ref().filter(|link| link.is_usable()) {
            Some(link) => Ok(link.clone()),
            None => {
                let link = Arc::new(Link::connect(&self.0.url, &self.0.options)?);
                // What a parent has is left as it is, locks and all.
                if let Some(old) = slot.replace(link.clone()) {
                    std::mem::forget(old);
                }
                Ok(link)
            }
        }
    }

    /// The endpoint's URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.0.url.to_string()
    }

    /// Where the near door of the same store is, on the server's machine.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the endpoint is gone; [`Kind::Invalid`] when it is no Sheaf's.
    pub fn hint(&self) -> Result<Hint> {
        self.ask("hint", json!({}))
    }

    fn ask<T: serde::de::DeserializeOwned + Send + 'static>(
        &self,
        action: &'static str,
        body: Value,
    ) -> Result<T> {
        self.call(move |service| ask::ask(service, action, body))
    }

    /// Makes a call and waits for its outcome.
    fn call<T: Send + 'static, F>(&self, call: impl FnOnce(Service) -> F) -> Result<T>
    where
        F: Future<Output = std::result::Result<T, Status>> + Send + 'static,
    {
        let link = self.link()?;
        link.block(call(link.service()))
    }

    fn upload(&self, name: &[u8], schema: &SchemaRef, options: &PutOptions) -> Result<FarWriter> {
        FarWriter::begin(self.link()?, &Name::new(name)?, schema.clone(), options)
    }
}

impl Store for FarClient {
    fn put(
        &self,
        name: &[u8],
        schema: &SchemaRef,
        batches: &[RecordBatch],
        options: &PutOptions,
    ) -> Result<Info> {
        let mut upload = self.upload(name, schema, options)?;
        upload.write_all(batches)?;
        upload.seal()
    }

    fn put_bytes(&self, name: &[u8], bytes: &[u8], options: &PutOptions) -> Result<Info> {
        let mut upload = self.upload(name, &crate::get::opaque::schema(), options)?;
        for chunk in put::chunks(bytes) {
            upload.write_all(&[chunk?])?;
        }
        upload.seal()
    }

    fn writer(
        &self,
        name: &[u8],
        schema: &SchemaRef,
        options: &PutOptions,
    ) -> Result<Box<dyn Writer>> {
        Ok(Box::new(self.upload(name, schema, options)?))
    }

    fn get_timeout(&self, name: &[u8], timeout: Duration) -> Result<Object> {
        let got = self.fetch(&[Name::new(name)?], timeout)?.pop();
        got.unwrap_or_else(|| Err(Error::new(Kind::Internal, "a get without an outcome")))
    }

    fn get_many(&self, names: &[&[u8]], timeout: Duration) -> Result<Vec<Result<Object>>> {
        let names: Vec<_> = names.iter().map(Name::new).collect::<Result<_>>()?;
        self.fetch(&names, timeout)
    }

    fn wait(&self, name: &[u8], timeout: Duration) -> Result<Info> {
        let name = Name::new(name)?;
        self.call(|service| ask::wait(service, name, names::millis(timeout)))
    }

    fn info(&self, name: &[u8], holders: bool) -> Result<Info> {
        let name = Name::new(name)?;
        self.call(|service| ask::info(service, name, holders))
    }

    fn list(&self, prefix: &[u8], holders: bool) -> Result<Vec<Info>> {
        // A prefix is text on the way, so what is none is looked for here.
        let text = std::str::from_utf8(prefix).unwrap_or_default().to_owned();
        let mut infos = self.call(|service| ask::list(service, text, holders))?;
        infos.retain(|info| info.name.as_bytes().starts_with(prefix));
        Ok(infos)
    }

    fn delete(&self, name: &[u8]) -> Result<()> {
        let name = names::to_text(&Name::new(name)?);
        self.ask::<Value>("delete", json!({"name": name})).map(|_| ())
    }

    fn evict(&self, bytes: u64) -> Result<u64> {
        #[derive(serde::Deserialize)]
        struct Freed {
            bytes: u64,
        }

        self.ask("evict", json!({"bytes": bytes})).map(|Freed { bytes }| bytes)
    }

    fn sql(&self, statement: &str, into: Option<(&[u8], &PutOptions)>) -> Result<Object> {
        self.ask_sql(statement, into)
    }

    fn stat(&self) -> Result<Stat> {
        self.call(|service| ask::stat(service, self.url()))
    }
}

impl std::fmt::Debug for FarClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FarClient({})", self.0.url)
    }
}

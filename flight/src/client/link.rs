//! One connection to an endpoint, and calls of it that block.
//!
//! The calls run on two threads of the client's own; who calls waits for them, on any thread, and
//! is asked now and then whether to wait on. A call that is given up is cancelled at the server.

use std::future::Future;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use arrow_flight::flight_service_client::FlightServiceClient;
use sheaf_store::{Error, Kind, Result};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

use super::options::FarOptions;
use super::url::FarUrl;
use crate::status;

/// How long a thread waits before it asks again whether to wait on.
const ASKING: Duration = Duration::from_millis(50);

/// The threads that calls run on: one can read while another decodes.
const THREADS: usize = 2;

/// How long one attempt to connect may take.
const CONNECTING: Duration = Duration::from_secs(5);

/// What the server may send ahead of what is read, of a call and in all, in bytes.
const AHEAD_BYTES: u32 = 8 << 20;

/// What a call shows.
#[derive(Clone)]
pub(super) struct Token(Option<MetadataValue<Ascii>>);

impl Interceptor for Token {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

/// What carries calls. Cheap to clone.
pub(super) type Transport = InterceptedService<Channel, Token>;

/// An endpoint's calls. Cheap to clone.
pub(super) type Service = FlightServiceClient<Transport>;

/// A connection; it is made anew by itself when it was lost.
pub(super) struct Link {
    /// Always there until it is dropped.
    runtime: Option<Runtime>,
    transport: Transport,
    url: FarUrl,
    pid: u32,
    interrupted: Option<fn() -> bool>,
}

impl Link {
    /// Connects.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when nobody answers there, [`Kind::Invalid`] for options that can't
    /// be.
    pub(super) fn connect(url: &FarUrl, options: &FarOptions) -> Result<Self> {
        let endpoint = endpoint(url, options)?;
        let token = token(options)?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("sheaf-far")
            .enable_all()
            .build()
            .map_err(|error| {
                Error::new(Kind::Internal, "threads can't be started").because(error)
            })?;
        let channel = {
            let _inside = runtime.enter();
            endpoint.connect_lazy()
        };
        let transport = InterceptedService::new(channel, token);
        let interrupted = options.connect.interrupted;
        let (url, pid) = (url.clone(), std::process::id());
        let link = Self { runtime: Some(runtime), transport, url, pid, interrupted };
        link.await_connection(endpoint, options.connect.timeout)?;
        Ok(link)
    }

    /// Tries to connect until somebody answers or the time is over.
    fn await_connection(&self, endpoint: Endpoint, limit: Duration) -> Result<()> {
        let deadline = Instant::now() + limit;
        let mut pause = Duration::from_millis(1);
        loop {
            let endpoint = endpoint.clone();
            let tried = self.block(async move {
                endpoint.connect().await.map_err(|error| Status::unavailable(causes(&error)))?;
                Ok(())
            });
            match tried {
                Err(error) if error.kind() == Kind::Unavailable && Instant::now() < deadline => {
                    if self.interrupted.is_some_and(|asked| asked()) {
                        return Err(Error::interrupted());
                    }
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(ASKING);
                }
                outcome => return outcome,
            }
        }
    }

    /// The endpoint's calls.
    pub(super) fn service(&self) -> Service {
        FlightServiceClient::new(self.transport()).max_decoding_message_size(usize::MAX)
    }

    /// What carries them.
    pub(super) fn transport(&self) -> Transport {
        self.transport.clone()
    }

    /// Whether this process may use it: a forked child has not its threads.
    pub(super) fn is_usable(&self) -> bool {
        self.pid == std::process::id()
    }

    /// Makes a call and waits for its outcome.
    pub(super) fn block<T: Send + 'static>(
        &self,
        call: impl Future<Output = Result<T, Status>> + Send + 'static,
    ) -> Result<T> {
        let (done, outcome) = sync_channel(1);
        let task = self.start(async move {
            let _ = done.send(call.await);
        });
        loop {
            match outcome.recv_timeout(ASKING) {
                Ok(outcome) => return outcome.map_err(|status| self.error(&status)),
                Err(RecvTimeoutError::Timeout) => {
                    if self.interrupted.is_some_and(|asked| asked()) {
                        task.abort();
                        return Err(Error::interrupted());
                    }
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Error::new(Kind::Internal, "the call ended without an outcome"));
                }
            }
        }
    }

    /// Begins a call.
    pub(super) fn start<T: Send + 'static>(
        &self,
        call: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        match &self.runtime {
            Some(runtime) => runtime.spawn(call),
            None => unreachable!("the threads go with the link"),
        }
    }

    /// What a status says, for a caller. One with a cause was made on this side: the endpoint has
    /// not answered.
    pub(super) fn error(&self, told: &Status) -> Error {
        let lost = match std::error::Error::source(told) {
            Some(cause) => causes(cause),
            None if told.code() == Code::Unavailable && !status::is_told(told) => {
                told.message().to_owned()
            }
            None => return status::to_error(told),
        };
        let message = format!("no Flight endpoint answers at {}: {lost}", self.url);
        Error::new(Kind::Unavailable, message)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        match self.runtime.take() {
            // Dropping it would wait for threads that only the parent has.
            runtime if !self.is_usable() => std::mem::forget(runtime),
            // Nor may a thread wait here that serves other futures.
            Some(runtime) => runtime.shutdown_background(),
            None => {}
        }
    }
}

fn token(options: &FarOptions) -> Result<Token> {
    let shown = options.token.as_ref().map(|token| format!("Bearer {token}").parse());
    let mut shown: Option<MetadataValue<Ascii>> = shown
        .transpose()
        .map_err(|_| Error::new(Kind::Invalid, "the token has characters that no token has"))?;
    if let Some(shown) = &mut shown {
        shown.set_sensitive(true);
    }
    Ok(Token(shown))
}

fn endpoint(url: &FarUrl, options: &FarOptions) -> Result<Endpoint> {
    let unfit = |error: tonic::transport::Error| {
        Error::new(Kind::Invalid, format!("{url}: {}", causes(&error)))
    };
    let mut endpoint = Endpoint::from_shared(url.for_tonic())
        .map_err(unfit)?
        .connect_timeout(CONNECTING)
        .tcp_nodelay(true)
        .initial_stream_window_size(AHEAD_BYTES)
        .initial_connection_window_size(4 * AHEAD_BYTES)
        .http2_keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    match url {
        FarUrl::Tls { .. } => {
            endpoint = endpoint.tls_config(options.tls.config()?).map_err(unfit)?
        }
        _ if options.tls.is_given() => {
            let message = format!("{url} is not encrypted: give grpc+tls://HOST:PORT, or no TLS");
            return Err(Error::new(Kind::Invalid, message));
        }
        // The path of a socket is no host.
        FarUrl::Unix(_) => endpoint = endpoint.origin(http::Uri::from_static("http://localhost")),
        FarUrl::Plain { .. } => {}
    }
    Ok(endpoint)
}

/// An error with its causes, the last of which usually says it.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let told = next.to_string();
        if !text.contains(&told) {
            text = format!("{text}: {told}");
        }
        cause = next.source();
    }
    text
}

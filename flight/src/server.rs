//! The endpoint as a whole: listeners, a runtime of its own, and their end.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use sheaf_store::{Client, Error, Kind, Result};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::server::NamedService;
use tonic::transport::ServerTlsConfig;
use tower::Layer;

use crate::address::Address;
use crate::auth::{Guard, Tokens};
use crate::door::Door;
use crate::front::Front;
use crate::get::Get;
use crate::listen::Bound;
use crate::options::FlightOptions;
use crate::put::Put;
use crate::sendfile::Mapped;
use crate::service::hint::Hint;
use crate::{service, tls, tuning};

/// How long calls that are under way may go on when the endpoint stops.
const GRACE: Duration = Duration::from_millis(500);

/// The most that the headers of a request may take, in bytes.
const HEADER_BYTES: u32 = 64 << 10;

/// How long a client may take to answer when it is asked whether it is there.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Connections that are accepted and not yet served.
const ACCEPTED: usize = 16;

/// An endpoint that has its addresses and serves nobody yet.
pub struct FlightListener {
    options: FlightOptions,
    bound: Vec<Bound>,
    guard: Guard,
    tls: Option<ServerTlsConfig>,
}

impl FlightListener {
    /// Takes the addresses.
    ///
    /// # Errors
    /// [`Kind::Exists`] when one is taken, [`Kind::Unavailable`] when it can't be bound,
    /// [`Kind::Denied`] for an address that other machines reach, if nothing protects it.
    pub fn bind(options: FlightOptions) -> Result<Self> {
        check_exposure(&options)?;
        let tokens = options.token_file.as_deref().map(Tokens::read).transpose()?;
        let tls = options.tls.as_ref().map(tls::config).transpose()?;
        let bound = options.addresses.iter().map(Bound::new).collect::<Result<_>>()?;
        Ok(Self { options, bound, guard: Guard::new(tokens), tls })
    }

    /// The addresses, with the ports that were taken.
    #[must_use]
    pub fn addresses(&self) -> Vec<Address> {
        self.bound.iter().map(|bound| bound.address().clone()).collect()
    }

    /// Serves the store behind `client`, on threads of this process. The client should keep
    /// descriptors ([`sheaf_store::ConnectOptions::keep_descriptors`]): objects are then sent
    /// from their files.
    ///
    /// # Errors
    /// [`Kind::Internal`] when there is no thread to be had.
    pub fn serve(self, client: Client) -> Result<FlightServer> {
        let addresses = self.addresses();
        let stat = client.stat()?;
        let hint = Hint { socket: stat.socket, store: stat.store_id, version: stat.version };
        let threads = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .thread_name("sheaf-flight")
            .build()
            .map_err(|error| Error::new(Kind::Internal, "no event loop").because(error))?;
        let has_tls = self.options.tls.is_some();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new()
            .name("sheaf-flight".into())
            .spawn(move || {
                if let Err(error) = runtime.block_on(self.run(client, hint, stopped)) {
                    tracing::error!(%error, "the Flight endpoint ended");
                }
                runtime.shutdown_timeout(GRACE);
            })
            .map_err(|error| Error::new(Kind::Internal, "no thread").because(error))?;
        Ok(FlightServer { addresses, has_tls, stop: Some(stop), thread: Some(thread) })
    }

    /// Serves until it is stopped, and a moment longer for what is under way.
    async fn run(
        self,
        client: Client,
        hint: Hint,
        stopped: oneshot::Receiver<()>,
    ) -> std::result::Result<(), tonic::transport::Error> {
        let Self { options, bound, guard, tls } = self;
        let mapped = Mapped::default();
        let seats = Arc::new(Semaphore::new(options.connections.min(Semaphore::MAX_PERMITS)));
        let door = Door::new(client);
        let get = Get::new(door.clone(), mapped.clone());
        let put = Put::new(door.clone(), options.idle);
        let front = Front::new(service::service(door, hint, guard.clone()), get, put);
        // The standard health service: who asks it need not be known.
        let (reporter, health) = tonic_health::server::health_reporter();
        let serving = tonic_health::ServingStatus::Serving;
        reporter.set_service_status(<Front as NamedService>::NAME, serving).await;
        let (stop, stopping) = watch::channel(false);

        // What is encrypted and what is not are two servers.
        let (tcp, unix): (Vec<_>, Vec<_>) = bound.into_iter().partition(Bound::is_tcp);
        let serve = |bound: Vec<Bound>, tls: Option<ServerTlsConfig>| {
            let (accepted, incoming) = mpsc::channel(ACCEPTED);
            for bound in bound {
                tokio::spawn(bound.accept(accepted.clone(), seats.clone(), mapped.clone()));
            }
            let mut stopping = stopping.clone();
            let served = builder(&options, tls).map(|mut server| {
                server
                    .add_service(guard.layer(front.clone()))
                    .add_service(health.clone())
                    .serve_with_incoming_shutdown(ReceiverStream::new(incoming), async move {
                        let _ = stopping.wait_for(|stops| *stops).await;
                    })
            });
            async move { served?.await }
        };
        let serving = async {
            let (tcp, unix) = tokio::join!(serve(tcp, tls), serve(unix, None));
            tcp.and(unix)
        };
        let overdue = async {
            let _ = stopped.await;
            let _ = stop.send(true);
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            served = serving => served,
            () = overdue => Ok(()),
        }
    }
}

/// A server as the options say.
fn builder(
    options: &FlightOptions,
    tls: Option<ServerTlsConfig>,
) -> std::result::Result<tonic::transport::Server, tonic::transport::Error> {
    let server = tuning::http2(tonic::transport::Server::builder())
        .max_concurrent_streams(options.streams)
        .http2_max_header_list_size(HEADER_BYTES)
        .http2_keepalive_interval(Some(options.idle))
        .http2_keepalive_timeout(Some(KEEP_ALIVE));
    match tls {
        Some(tls) => server.tls_config(tls),
        None => Ok(server),
    }
}

/// Refuses to serve other machines without protection, unless told so in so many words.
fn check_exposure(options: &FlightOptions) -> Result<()> {
    let exposed = options.addresses.iter().find(|address| !address.is_local());
    let protected = options.tls.is_some() || options.token_file.is_some() || options.insecure;
    match exposed {
        Some(address) if !protected => Err(Error::new(
            Kind::Denied,
            format!(
                "{address} can be reached from other machines: protect it with --tls-cert and \
                 --tls-key, or with --token-file, or say --insecure"
            ),
        )),
        _ => Ok(()),
    }
}

/// A Flight endpoint on threads of this process. Stops when dropped.
pub struct FlightServer {
    addresses: Vec<Address>,
    has_tls: bool,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FlightServer {
    /// The addresses that it listens on.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }

    /// The addresses as clients of Flight are told them.
    pub fn urls(&self) -> impl Iterator<Item = String> + '_ {
        let tls = if self.has_tls { "+tls" } else { "" };
        self.addresses.iter().map(move |address| match address {
            Address::Tcp(at) => format!("grpc{tls}://{at}"),
            Address::Unix(path) => format!("grpc+unix://{}", path.display()),
        })
    }
}

impl Drop for FlightServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

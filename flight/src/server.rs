//! The endpoint as a whole: listeners, a runtime of its own, and their end.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use sheaf_store::sql::Engine;
use sheaf_store::{Client, Error, Kind, Result};
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_rustls::TlsAcceptor;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic_reflection::server as reflection;
use tonic_reflection::server::v1::{ServerReflection, ServerReflectionServer};

use crate::address::Address;
use crate::auth::Guard;
use crate::door::Door;
use crate::front::Front;
use crate::gate::Shared;
use crate::get::Get;
use crate::limits::Limits;
use crate::listen::{Bound, Hall};
use crate::neighbour::Neighbours;
use crate::options::FlightOptions;
use crate::put::{Put, Uploads};
use crate::sendfile::Mapped;
use crate::service::hint::Hint;
use crate::sql::Sql;
use crate::{service, tls};

/// How long the endpoint's threads may take to end when nothing is left to be done.
const END: Duration = Duration::from_millis(500);

/// An endpoint that has its addresses and serves nobody yet.
pub struct FlightListener {
    options: FlightOptions,
    bound: Vec<Bound>,
    guard: Arc<Guard>,
    tls: Option<TlsAcceptor>,
    neighbours: Option<Arc<Neighbours>>,
    /// Why there are none, although there should be.
    unknown: Option<io::Error>,
}

impl FlightListener {
    /// Reads what the options name, and takes the addresses.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a file of TLS or of tokens that is not sound; [`Kind::Denied`] for an
    /// address that other machines reach, if nothing protects it; [`Kind::Exists`] when one is
    /// taken; [`Kind::Unavailable`] when it can't be bound.
    pub fn bind(options: FlightOptions) -> Result<Self> {
        check_exposure(&options)?;
        let guard = Arc::new(Guard::new(options.token_file.as_deref())?);
        let tls = options.tls.as_ref().map(tls::acceptor).transpose()?;
        let bound = options.addresses.iter().map(Bound::new).collect::<Result<_>>()?;
        let (neighbours, unknown) = match is_for_its_own_user(&options).then(Neighbours::new) {
            Some(Ok(neighbours)) => (Some(Arc::new(neighbours)), None),
            Some(Err(error)) => (None, Some(error)),
            None => (None, None),
        };
        Ok(Self { options, bound, guard, tls, neighbours, unknown })
    }

    /// The addresses, with the ports that were taken.
    #[must_use]
    pub fn addresses(&self) -> Vec<Address> {
        self.bound.iter().map(|bound| bound.address().clone()).collect()
    }

    /// What whoever starts it should know, each in one line.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let FlightOptions { tls, token_file, .. } = &self.options;
        let exposed = self.bound.iter().map(Bound::address).filter(|address| !address.is_local());
        let has_client_ca = tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
        let warning = |address: &Address| match (tls, token_file) {
            (None, Some(_)) => Some(format!("tokens travel in clear to {address}: TLS hides them")),
            (None, None) => Some(format!("whoever reaches {address} may read and write")),
            (Some(_), None) if !has_client_ca => Some(format!(
                "whoever reaches {address} may read and write: --token-file or --tls-client-ca \
                 say who may"
            )),
            _ => None,
        };
        let unknown = self.unknown.iter().map(|error| {
            format!(
                "every user of this machine may read and write by Flight: whose a connection is \
                 can't be told ({error})"
            )
        });
        exposed.filter_map(warning).chain(unknown).collect()
    }

    /// Serves the store behind `client`, on threads of this process. The client should keep
    /// descriptors ([`sheaf_store::ConnectOptions::keep_descriptors`]): objects are then sent
    /// from their files. Statements of Flight SQL go to the engine, which is the store's own.
    ///
    /// # Errors
    /// [`Kind::Internal`] when there is no thread to be had.
    pub fn serve(self, client: Client, engine: Option<Arc<dyn Engine>>) -> Result<FlightServer> {
        let addresses = self.addresses();
        let stat = client.stat()?;
        let hint = Hint { socket: stat.socket, store: stat.store_id, version: stat.version };
        let has_tls = self.tls.is_some();
        let runtime = runtime()?;
        let (stop, stopping) = watch::channel(false);
        let thread = std::thread::Builder::new()
            .name("sheaf-flight".into())
            .spawn(move || {
                runtime.block_on(self.run(client, engine, hint, stopping));
                // What is left is cut off; what waits for the store ends in its own time.
                runtime.shutdown_timeout(END);
            })
            .map_err(|error| Error::new(Kind::Internal, "no thread").because(error))?;
        Ok(FlightServer { addresses, has_tls, stop, thread: Some(thread) })
    }

    /// Serves until it is stopped, and a moment longer for what is under way.
    async fn run(
        self,
        client: Client,
        engine: Option<Arc<dyn Engine>>,
        hint: Hint,
        mut stop: watch::Receiver<bool>,
    ) {
        let Self { options, bound, guard, tls, neighbours, .. } = self;
        let limits = options.limits.countable();
        let mapped = Mapped::default();
        let routes = routes(client, engine, hint, &guard, &mapped, &limits).await;
        let uploads = Arc::new(Semaphore::new(limits.uploads_in_all));
        let seats = Arc::new(Semaphore::new(limits.seats()));
        let drain = limits.drain;
        let shared = Arc::new(Shared { guard, limits, routes, uploads });
        let (open, mut ended) = mpsc::channel(1);
        let hall = Hall { shared, mapped, tls, seats, neighbours, stop: stop.clone(), open };
        for bound in bound {
            let (address, hall) = (bound.address().clone(), hall.clone());
            tokio::spawn(async move {
                if let Err(error) = bound.accept(hall).await {
                    tracing::error!(%address, %error, "a Flight listener ended");
                }
            });
        }
        drop(hall);
        let _ = stop.wait_for(|stop| *stop).await;
        let _ = tokio::time::timeout(drain, ended.recv()).await;
    }
}

/// Every service there is.
async fn routes(
    client: Client,
    engine: Option<Arc<dyn Engine>>,
    hint: Hint,
    guard: &Arc<Guard>,
    mapped: &Mapped,
    limits: &Limits,
) -> Routes {
    let door = Door::new(client);
    let sql = Sql::new(engine);
    let get = Get::new(door.clone(), sql.clone(), mapped.clone());
    let uploads = Uploads::new(limits.uploads_in_all, limits.idle);
    let put = Put::new(door.clone(), uploads.clone(), sql.clone(), limits.idle);
    let rest = service::service(door, uploads, sql, hint, guard.clone(), limits.message_bytes);
    let (reporter, health) = tonic_health::server::health_reporter();
    let serving = tonic_health::ServingStatus::Serving;
    reporter.set_service_status(<Front as NamedService>::NAME, serving).await;
    let mut routes = Routes::new(Front::new(rest, get, put)).add_service(health);
    // The descriptions are part of the program: a test makes sure that they are sound.
    match reflection() {
        Ok(reflection) => routes = routes.add_service(reflection),
        Err(error) => tracing::error!(%error, "no reflection"),
    }
    routes.prepare()
}

/// Tells generic clients, such as `grpcurl`, what there is to call.
fn reflection() -> Result<ServerReflectionServer<impl ServerReflection>, reflection::Error> {
    reflection::Builder::configure()
        .register_encoded_file_descriptor_set(include_bytes!("../proto/flight.bin"))
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
}

fn runtime() -> Result<Runtime> {
    let threads = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .thread_name("sheaf-flight")
        .build()
        .map_err(|error| Error::new(Kind::Internal, "no event loop").because(error))
}

/// Whether it lets in no more than the near door: on this machine alone, with nothing that says
/// who else may.
fn is_for_its_own_user(options: &FlightOptions) -> bool {
    let asks_clients = options.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some());
    let says_who = options.token_file.is_some() || asks_clients || options.insecure;
    !says_who && options.addresses.iter().all(Address::is_local)
}

/// Refuses to serve other machines without protection, unless told so in so many words.
fn check_exposure(options: &FlightOptions) -> Result<()> {
    let exposed = options.addresses.iter().find(|address| !address.is_local());
    let is_protected = options.tls.is_some() || options.token_file.is_some() || options.insecure;
    match exposed {
        Some(address) if !is_protected => Err(Error::new(
            Kind::Denied,
            format!(
                "{address} can be reached from other machines: protect it with --tls-cert and \
                 --tls-key, or with --token-file, or say --insecure"
            ),
        )),
        _ => Ok(()),
    }
}

/// A Flight endpoint on threads of this process. Stops, drained, when dropped.
pub struct FlightServer {
    addresses: Vec<Address>,
    has_tls: bool,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl FlightServer {
    /// Serves the store behind `client` as the options say.
    ///
    /// # Errors
    /// As [`FlightListener::bind`] and [`FlightListener::serve`].
    pub fn spawn(client: Client, options: FlightOptions) -> Result<Self> {
        FlightListener::bind(options)?.serve(client, None)
    }

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

    /// Takes no more connections and calls; those that run go on for the time of
    /// [`Limits::drain`]. Returns at once: to wait for the end, drop it.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }
}

impl Drop for FlightServer {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

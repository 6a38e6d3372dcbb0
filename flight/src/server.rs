//! The endpoint as a whole: listeners, a runtime of its own, and their end.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use sheaf_store::{Client, Error, Kind, Result};
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;

use crate::address::Address;
use crate::door::Door;
use crate::front::Front;
use crate::get::Get;
use crate::listen::Bound;
use crate::options::FlightOptions;
use crate::put::Put;
use crate::sendfile::Mapped;
use crate::service::hint::Hint;
use crate::{service, tuning};

/// How long calls that are under way may go on when the endpoint stops.
const GRACE: Duration = Duration::from_millis(500);

/// Connections that are accepted and not yet served.
const ACCEPTED: usize = 16;

/// An endpoint that has its addresses and serves nobody yet.
pub struct FlightListener {
    options: FlightOptions,
    bound: Vec<Bound>,
}

impl FlightListener {
    /// Takes the addresses.
    ///
    /// # Errors
    /// [`Kind::Exists`] when one is taken, [`Kind::Unavailable`] when it can't be bound,
    /// [`Kind::Denied`] for an address that other machines reach, if nothing protects it.
    pub fn bind(options: FlightOptions) -> Result<Self> {
        let bound = options.addresses.iter().map(Bound::new).collect::<Result<_>>()?;
        Ok(Self { options, bound })
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
        let Self { options, bound } = self;
        let mapped = Mapped::default();
        let seats = Arc::new(Semaphore::new(options.connections.min(Semaphore::MAX_PERMITS)));
        let (accepted, incoming) = mpsc::channel(ACCEPTED);
        for bound in bound {
            tokio::spawn(bound.accept(accepted.clone(), seats.clone(), mapped.clone()));
        }
        drop(accepted);
        let door = Door::new(client);
        let get = Get::new(door.clone(), mapped);
        let put = Put::new(door.clone(), options.idle);
        let front = Front::new(service::service(door, hint), get, put);
        let stop = Arc::new(Notify::new());
        let stopping = stop.clone();
        let serving = tuning::http2(tonic::transport::Server::builder())
            .max_concurrent_streams(options.streams)
            .add_service(front)
            .serve_with_incoming_shutdown(ReceiverStream::new(incoming), async move {
                let _ = stopped.await;
                stopping.notify_one();
            });
        let overdue = async {
            stop.notified().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            served = serving => served,
            () = overdue => Ok(()),
        }
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

//! The endpoint as a whole: a runtime of its own, a listener, and their end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use sheaf_store::{Client, Error, Kind, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt};

use crate::door::Door;
use crate::front::Front;
use crate::get::Get;
use crate::options::FlightOptions;
use crate::sendfile::{Mapped, Sending};
use crate::{service, tuning};

/// How long calls that are under way may go on when the endpoint stops.
const GRACE: Duration = Duration::from_millis(500);

/// A Flight endpoint on threads of this process. Stops when dropped.
pub struct FlightServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FlightServer {
    /// Serves the store behind `client` as the options say.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the address can't be bound.
    pub fn spawn(client: Client, options: &FlightOptions) -> Result<Self> {
        let threads = std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 8);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .thread_name("sheaf-flight")
            .build()
            .map_err(|error| Error::new(Kind::Internal, "no event loop").because(error))?;
        let (listener, address) = bind(options.address)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new()
            .name("sheaf-flight".into())
            .spawn(move || {
                if let Err(error) = runtime.block_on(serve(client, listener, stopped)) {
                    tracing::error!(%error, "the Flight endpoint ended");
                }
                runtime.shutdown_timeout(GRACE);
            })
            .map_err(|error| Error::new(Kind::Internal, "no thread").because(error))?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn bind(address: SocketAddr) -> Result<(std::net::TcpListener, SocketAddr)> {
    let fail = |error: io::Error| {
        let message = format!("cannot listen on {address}: {error}");
        Error::new(Kind::Unavailable, message).because(error)
    };
    let listener = std::net::TcpListener::bind(address).map_err(fail)?;
    listener.set_nonblocking(true).map_err(fail)?;
    let address = listener.local_addr().map_err(fail)?;
    Ok((listener, address))
}

/// Serves until it is stopped, and a moment longer for what is under way.
async fn serve(
    client: Client,
    listener: std::net::TcpListener,
    stopped: oneshot::Receiver<()>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let listener = TcpListener::from_std(listener)?;
    let mapped = Mapped::default();
    let stop = Arc::new(Notify::new());
    let stopping = stop.clone();
    let serving = tuning::http2(tonic::transport::Server::builder())
        .add_service(front(client, &mapped))
        .serve_with_incoming_shutdown(incoming(listener, mapped), async move {
            let _ = stopped.await;
            stopping.notify_one();
        });
    tokio::select! {
        served = serving => served?,
        () = async { stop.notified().await; tokio::time::sleep(GRACE).await } => {}
    }
    Ok(())
}

/// The connections that come, set up for large answers.
fn incoming(
    listener: TcpListener,
    mapped: Mapped,
) -> impl Stream<Item = io::Result<Sending<TcpStream>>> {
    TcpListenerStream::new(listener).map(move |accepted| {
        let socket = accepted?;
        let is_loopback = socket.peer_addr().is_ok_and(|peer| peer.ip().is_loopback());
        tuning::tcp(&socket, is_loopback);
        Ok(Sending::new(socket, mapped.clone()))
    })
}

/// Every call, on the store behind `client`.
fn front(client: Client, mapped: &Mapped) -> Front {
    let door = Door::new(client);
    Front::new(service::service(door.clone()), Get::new(door, mapped.clone()))
}

impl Drop for FlightServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

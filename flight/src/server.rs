//! The endpoint as a whole: a runtime of its own, a listener, and their end.

use std::net::SocketAddr;
use std::thread::JoinHandle;

use sheaf_store::{Client, Error, Kind, Result};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tonic::transport::server::TcpIncoming;

use crate::door::Door;
use crate::options::FlightOptions;
use crate::service;

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
        let listener = runtime.block_on(TcpListener::bind(options.address)).map_err(|error| {
            let message = format!("cannot listen on {}: {error}", options.address);
            Error::new(Kind::Unavailable, message).because(error)
        })?;
        let address = listener.local_addr().unwrap_or(options.address);
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::Builder::new()
            .name("sheaf-flight".into())
            .spawn(move || {
                let served = runtime.block_on(
                    tonic::transport::Server::builder()
                        .add_service(service::service(Door::new(client)))
                        .serve_with_incoming_shutdown(TcpIncoming::from(listener), async {
                            let _ = stopped.await;
                        }),
                );
                if let Err(error) = served {
                    tracing::error!(%error, "the Flight endpoint ended");
                }
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

impl Drop for FlightServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

//! An endpoint on a store of its own, and clients of it.

use arrow_flight::FlightClient;
use sheaf_flight::{Address, FlightListener, FlightOptions, FlightServer};
use sheaf_store::{Client, ConnectOptions, ServeOptions, Server, connect_with};
use tempfile::TempDir;
use tonic::transport::Channel;

/// A store and its endpoint, on threads of this process. Ends on drop: the endpoint first.
pub(crate) struct Endpoint {
    pub(crate) flight: FlightServer,
    pub(crate) store: Client,
    _server: Server,
    _folder: TempDir,
}

impl Endpoint {
    pub(crate) fn start() -> Self {
        Self::with(|_| {})
    }

    /// An endpoint whose options are changed first.
    pub(crate) fn with(change: impl FnOnce(&mut FlightOptions)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = ServeOptions::new(folder.path().join("store.sock"), 256 << 20);
        let server = Server::spawn(options).unwrap();
        let options = ConnectOptions { keep_descriptors: true, ..ConnectOptions::default() };
        let store = connect_with(&server.url(), &options).unwrap();
        let free: Address = "127.0.0.1:0".parse().unwrap();
        let mut options = FlightOptions::new(vec![free]);
        change(&mut options);
        let listener = FlightListener::bind(options).unwrap();
        let flight = listener.serve(store.clone(), None).unwrap();
        Self { flight, store, _server: server, _folder: folder }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.flight.addresses()[0])
    }

    pub(crate) async fn channel(&self) -> Channel {
        Channel::from_shared(self.url()).unwrap().connect().await.unwrap()
    }

    pub(crate) async fn client(&self) -> FlightClient {
        FlightClient::new(self.channel().await)
    }
}

/// Waits until something is so.
pub(crate) async fn eventually(mut is_so: impl AsyncFnMut() -> bool) {
    let start = std::time::Instant::now();
    while !is_so().await {
        assert!(start.elapsed() < std::time::Duration::from_secs(60), "in vain");
        tokio::task::yield_now().await;
    }
}

/// Runs an ignored test in a process of its own, for what others must not disturb.
pub(crate) fn alone(test: &str) {
    let ended = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored", "--nocapture"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    let complained = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && said.contains("1 passed"), "{said}{complained}");
}

//! Through what clients come in: addresses, TLS, client certificates, Unix sockets.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Criteria, FlightClient};
use hyper_util::rt::TokioIo;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use sheaf_flight::{Address, FlightListener, FlightOptions, TlsOptions};
use sheaf_store::{Kind, PutOptions};
use tempfile::TempDir;
use tokio::net::UnixStream;
use tonic::Code;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};

use crate::harness::Endpoint;

/// An authority, in a folder with the certificates that it signed.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap());
        let authority = Self { issuer: issuer.unwrap(), folder: tempfile::tempdir().unwrap() };
        fs::write(authority.folder.path().join("ca"), authority.issuer.pem()).unwrap();
        authority
    }

    /// A certificate and its key, in PEM.
    fn sign(&self, host: &str, usage: ExtendedKeyUsagePurpose) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new(vec![host.to_owned()]).unwrap();
        parameters.extended_key_usages = vec![usage];
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// What an endpoint of this authority is told.
    pub(crate) fn server(&self, asks_clients: bool) -> TlsOptions {
        let path = |name: &str| self.folder.path().join(name);
        let (certificate, key) = self.sign("localhost", ExtendedKeyUsagePurpose::ServerAuth);
        fs::write(path("certificate"), certificate).unwrap();
        fs::write(path("key"), key).unwrap();
        let client_ca = asks_clients.then(|| path("ca"));
        TlsOptions { certificate: path("certificate"), key: path("key"), client_ca }
    }

    /// The file with the authority's own certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca")
    }

    /// The files of a client's certificate and its key.
    pub(crate) fn client_files(&self) -> (PathBuf, PathBuf) {
        let path = |name: &str| self.folder.path().join(name);
        let (certificate, key) = self.sign("client", ExtendedKeyUsagePurpose::ClientAuth);
        fs::write(path("client"), certificate).unwrap();
        fs::write(path("client.key"), key).unwrap();
        (path("client"), path("client.key"))
    }

    /// A client that trusts this authority, and shows a certificate if it has one.
    fn client(&self, identity: Option<&Self>) -> ClientTlsConfig {
        let ca = Certificate::from_pem(self.issuer.pem());
        let config = ClientTlsConfig::new().ca_certificate(ca).domain_name("localhost");
        let Some(issuer) = identity else { return config };
        let (certificate, key) = issuer.sign("client", ExtendedKeyUsagePurpose::ClientAuth);
        config.identity(Identity::from_pem(certificate, key))
    }
}

/// Lists what there is over TLS.
async fn list(endpoint: &Endpoint, tls: ClientTlsConfig) -> Result<(), String> {
    let url = format!("https://{}", endpoint.flight.addresses()[0]);
    let channel = Channel::from_shared(url).unwrap().tls_config(tls).unwrap().connect().await;
    let channel = channel.map_err(|error| format!("{error:?}"))?;
    FlightClient::new(channel).list_flights("").await.map(drop).map_err(|e| format!("{e:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_everything_is_as_it_is_without() {
    let authority = Authority::new();
    let tls = authority.server(false);
    let endpoint = Endpoint::with(move |options| options.tls = Some(tls));
    let url = format!("https://{}", endpoint.flight.addresses()[0]);
    let batch = crate::get::numbers(100_000);
    let batches = std::slice::from_ref(&batch);
    endpoint.store.put("t", &batch.schema(), batches, &PutOptions::default()).unwrap();

    let tls = authority.client(None);
    let channel = Channel::from_shared(url).unwrap().tls_config(tls).unwrap();
    let mut client = FlightClient::new(channel.connect().await.unwrap());
    let stream = client.do_get(arrow_flight::Ticket::new("t")).await.unwrap();
    let batches: Vec<_> = futures_util::TryStreamExt::try_collect(stream).await.unwrap();

    let got = batches.iter().map(arrow_array::RecordBatch::num_rows).sum::<usize>();
    assert_eq!(got, batch.num_rows());
    assert!(endpoint.flight.urls().all(|url| url.starts_with("grpc+tls://")));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_speaks_no_tls_or_trusts_another_is_not_served() {
    let (authority, other) = (Authority::new(), Authority::new());
    let tls = authority.server(false);
    let endpoint = Endpoint::with(move |options| options.tls = Some(tls));

    assert!(list(&endpoint, other.client(None)).await.is_err());
    let plain = Channel::from_shared(endpoint.url()).unwrap().connect_lazy();
    assert!(FlightClient::new(plain).list_flights("").await.is_err());

    assert_eq!(list(&endpoint, authority.client(None)).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_shows_a_good_certificate_is_served_where_they_are_asked_for() {
    let (authority, other) = (Authority::new(), Authority::new());
    let tls = authority.server(true);
    let endpoint = Endpoint::with(move |options| options.tls = Some(tls));

    assert!(list(&endpoint, authority.client(None)).await.is_err());
    assert!(list(&endpoint, authority.client(Some(&other))).await.is_err());
    assert_eq!(list(&endpoint, authority.client(Some(&authority))).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_begins_tls_and_stops_keeps_nobody_waiting() {
    let authority = Authority::new();
    let tls = authority.server(false);
    let endpoint = Endpoint::with(move |options| {
        options.tls = Some(tls);
        options.limits.opening = std::time::Duration::from_millis(300);
    });
    let Address::Tcp(address) = endpoint.flight.addresses()[0].clone() else { panic!() };
    let mut stalled: Vec<_> = (0..50).map(|_| TcpStream::connect(address).unwrap()).collect();
    // The beginning of a record of TLS, whose rest does not come.
    stalled.iter_mut().for_each(|socket| socket.write_all(&[22, 3, 1, 1, 0]).unwrap());

    assert_eq!(list(&endpoint, authority.client(None)).await, Ok(()));

    for socket in &mut stalled {
        let _ = socket.read_to_end(&mut Vec::new()); // Returns when the endpoint has hung up.
    }
}

async fn over_unix(path: &Path) -> Result<FlightClient, tonic::transport::Error> {
    let path = path.to_owned();
    let connect = tower::service_fn(move |_| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    let endpoint = Channel::from_static("http://localhost");
    endpoint.connect_with_connector(connect).await.map(FlightClient::new)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unix_socket_is_its_owners_and_goes_with_the_endpoint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("made/flight.sock");
    let address = Address::Unix(path.clone());
    let authority = Authority::new();
    let tls = authority.server(false);
    let endpoint = Endpoint::with(move |options| {
        options.addresses.push(address);
        options.tls = Some(tls); // Which a Unix socket has no need of.
    });

    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    let url = format!("grpc+unix://{}", path.display());
    assert!(endpoint.flight.urls().any(|told| told == url));
    let mut client = over_unix(&path).await.unwrap();
    assert!(client.list_flights("").await.is_ok());

    drop(endpoint);
    assert!(!path.exists());
}

#[test]
fn a_dead_unix_socket_is_replaced_and_a_live_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flight.sock");
    drop(UnixListener::bind(&path).unwrap()); // Leaves the file behind, as kill -9 does.
    let options = FlightOptions::new(vec![Address::Unix(path.clone())]);

    let live = FlightListener::bind(options.clone()).unwrap();
    let error = FlightListener::bind(options).err().unwrap();

    assert_eq!(error.kind(), Kind::Exists);
    assert!(error.message().contains("--flight"), "{error}");
    drop(live);
}

#[test]
fn a_unix_socket_where_others_could_replace_it_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let path = folder.path().join("flight.sock");

    let error = FlightListener::bind(FlightOptions::new(vec![Address::Unix(path)])).err().unwrap();

    assert_eq!(error.kind(), Kind::Denied);
    assert!(error.message().contains("--flight"), "{error}");
}

#[test]
fn other_machines_are_served_only_with_protection_or_in_so_many_words() {
    // No machine has this address, so one that is allowed can't be bound.
    let open: Address = "192.0.2.1:0".parse().unwrap();
    let kind = |change: &dyn Fn(&mut FlightOptions)| {
        let mut options = FlightOptions::new(vec!["127.0.0.1:0".parse().unwrap(), open.clone()]);
        change(&mut options);
        FlightListener::bind(options).err().unwrap()
    };
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    fs::write(&tokens, "").unwrap();
    fs::set_permissions(&tokens, fs::Permissions::from_mode(0o600)).unwrap();
    let tls = Authority::new();

    let error = kind(&|_| {});
    assert_eq!(error.kind(), Kind::Denied);
    for way in ["--tls-cert", "--tls-key", "--token-file", "--insecure", "192.0.2.1"] {
        assert!(error.message().contains(way), "{error}");
    }
    for allowed in [
        kind(&|options| options.insecure = true),
        kind(&|options| options.token_file = Some(tokens.clone())),
        kind(&|options| options.tls = Some(tls.server(false))),
    ] {
        assert_eq!(allowed.kind(), Kind::Unavailable, "{allowed}");
    }
}

#[test]
fn an_address_that_is_taken_is_told() {
    let free: Address = "127.0.0.1:0".parse().unwrap();
    let first = FlightListener::bind(FlightOptions::new(vec![free])).unwrap();

    let error = FlightListener::bind(FlightOptions::new(first.addresses())).err().unwrap();

    assert_eq!(error.kind(), Kind::Exists);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_serves_all_its_addresses() {
    let endpoint = Endpoint::with(|options| {
        options.addresses = vec!["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()];
    });

    for address in endpoint.flight.addresses() {
        let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await;
        assert!(FlightClient::new(channel.unwrap()).list_flights("").await.is_ok(), "{address}");
    }
}

/// Connects as another user, which root alone can do.
fn connect_as_another(endpoint: &Endpoint) -> Option<TcpStream> {
    let Address::Tcp(address) = endpoint.flight.addresses()[0].clone() else { return None };
    let connecting = std::thread::spawn(move || {
        // The kernel's users are those of a thread, and this one ends at once.
        let nobody = rustix::thread::Uid::from_raw(65534);
        rustix::thread::set_thread_res_uid(nobody, nobody, nobody).ok()?;
        TcpStream::connect(address).ok()
    });
    connecting.join().unwrap()
}

async fn list_through(socket: TcpStream) -> Result<(), Code> {
    socket.set_nonblocking(true).unwrap();
    let socket = TokioIo::new(tokio::net::TcpStream::from_std(socket).unwrap());
    let mut socket = Some(socket);
    let connect = tower::service_fn(move |_| {
        let socket = socket.take().ok_or(std::io::ErrorKind::NotConnected);
        async move { Ok::<_, std::io::Error>(socket?) }
    });
    let endpoint = Channel::from_static("http://localhost");
    let channel = endpoint.connect_with_connector(connect).await.unwrap();
    let mut client = FlightServiceClient::new(channel);
    client.list_flights(Criteria::default()).await.map(drop).map_err(|status| status.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_of_this_machine_is_refused_unless_told_otherwise() {
    let (own, open) = (Endpoint::start(), Endpoint::with(|options| options.insecure = true));
    let (Some(there), Some(here)) = (connect_as_another(&own), connect_as_another(&open)) else {
        return eprintln!("skipped: only root can connect as another user");
    };

    assert_eq!(list_through(there).await, Err(Code::PermissionDenied));
    assert_eq!(list_through(here).await, Ok(()));
    assert!(own.client().await.list_flights("").await.is_ok());
}

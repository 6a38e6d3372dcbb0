//! `sheaf serve` as a Flight endpoint: what its options let in, and what it says.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::{Action, Criteria};
use rustix::process::Signal;
use sheaf_store::PutOptions;
use sheaf_tests::{PATIENCE, sheaf_bin, signal};
use tempfile::TempDir;
use tonic::Request;
use tonic::transport::{Certificate, Channel, ClientTlsConfig};

/// A store with a Flight endpoint, as a process. Killed on drop.
pub(crate) struct Store {
    folder: TempDir,
    child: Child,
    /// What it said until it served.
    said: Vec<String>,
}

fn serve(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(sheaf_bin());
    command.args(["serve", "--memory", "64MiB", "--socket"]).arg(folder.join("store.sock"));
    command.args(arguments).env_remove("SHEAF_STORE").env_remove("RUST_LOG");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

impl Store {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = serve(folder.path(), arguments);
        Self::of(folder, &mut command)
    }

    /// With at most this many descriptors.
    fn with_descriptors(most: u32, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let plain = serve(folder.path(), arguments);
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n {most}; exec \"$0\" \"$@\"")]);
        command.arg(plain.get_program()).args(plain.get_args()).stderr(Stdio::piped());
        Self::of(folder, &mut command)
    }

    fn of(folder: TempDir, command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = Vec::new();
        loop {
            let mut line = String::new();
            assert!(stderr.read_line(&mut line).unwrap() > 0, "it ended: {said:?}");
            said.push(line.trim_end().to_owned());
            if line.contains("serving at") {
                break;
            }
        }
        // It goes on to say things, and must not die of it.
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        Self { folder, child, said }
    }

    /// The addresses that it says it has.
    pub(crate) fn urls(&self) -> Vec<String> {
        let lines = self.said.iter();
        lines
            .filter_map(|line| line.strip_prefix("sheaf: Arrow Flight at "))
            .map(str::to_owned)
            .collect()
    }

    fn near(&self) -> sheaf_store::Client {
        let url = format!("unix:{}", self.folder.path().join("store.sock").display());
        sheaf_store::connect(&url).unwrap()
    }

    fn has_said(&self, words: &str) -> bool {
        self.said.iter().any(|line| line.contains(words))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How a store that can't be started ends, and what it says.
fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let output = serve(folder.path(), arguments).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

async fn client(url: &str) -> FlightServiceClient<Channel> {
    let url = url.replace("grpc://", "http://");
    let channel = Channel::from_shared(url).unwrap().connect_timeout(PATIENCE).connect().await;
    FlightServiceClient::new(channel.unwrap())
}

/// How many flights there are for whoever shows this.
async fn list(url: &str, authorization: &str) -> Result<usize, tonic::Code> {
    let mut request = Request::new(Criteria::default());
    if !authorization.is_empty() {
        request.metadata_mut().insert("authorization", authorization.parse().unwrap());
    }
    let listed = client(url).await.list_flights(request).await.map_err(|status| status.code())?;
    let infos = futures_util::StreamExt::collect::<Vec<_>>(listed.into_inner()).await;
    Ok(infos.len())
}

#[tokio::test]
async fn what_is_put_at_one_door_is_found_at_the_other() {
    let socket = tempfile::tempdir().unwrap();
    let unix = format!("unix:{}/flight.sock", socket.path().display());
    let store =
        Store::start(&["--flight", "127.0.0.1:0", "--flight", "127.0.0.1:0", "--flight", &unix]);
    store.near().put_bytes("b", b"x", &PutOptions::default()).unwrap();

    let urls = store.urls();
    assert_eq!(urls.len(), 3, "{urls:?}");
    assert_eq!(urls[2], format!("grpc+unix://{}/flight.sock", socket.path().display()));
    for url in &urls[..2] {
        assert_eq!(list(url, "").await, Ok(1), "{url}");
    }
    let mut client = client(&urls[0]).await;
    client.do_action(Action::new("delete", r#"{"name":"b"}"#)).await.unwrap();
    assert!(store.near().info("b", false).is_err());
}

#[test]
fn without_its_default_address_a_store_is_served_all_the_same() {
    // Somebody has the address: this, or another store of this machine.
    let _taken = TcpListener::bind("127.0.0.1:8815");

    let store = Store::start(&[]);

    assert_eq!(store.urls(), Vec::<String>::new());
    assert!(store.has_said("no Arrow Flight: cannot listen on 127.0.0.1:8815"), "{:?}", store.said);
    assert!(store.near().stat().is_ok());
    let off = Store::start(&["--flight", "off"]);
    assert!(!off.has_said("Flight"), "{:?}", off.said);
}

#[test]
fn an_address_that_was_asked_for_and_is_taken_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();

    let (status, said) = refused(&["--flight", &address]);

    assert_eq!(status, Some(1));
    assert!(said.contains(&format!("cannot listen on {address}")), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[test]
fn what_can_not_be_served_is_refused_in_one_line_that_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let junk = folder.path().join("junk");
    fs::write(&junk, "hunter2\n").unwrap();
    let junk = junk.to_str().unwrap();
    let cases: [(&[&str], i32, &[&str]); 8] = [
        (&["--flight", "0.0.0.0:0"], 1, &["--tls-cert", "--token-file", "--insecure"]),
        (&["--flight", "127.0.0.1:0", "--flight", "[::]:0"], 1, &["--insecure"]),
        (&["--token-file", "/no/such"], 1, &["/no/such"]),
        (&["--flight", "127.0.0.1:0", "--token-file", junk], 1, &[junk, "line 1"]),
        (&["--tls-cert", junk, "--tls-key", junk], 1, &[junk]),
        (&["--tls-cert", junk], 2, &["--tls-key"]),
        (&["--flight", "nowhere"], 2, &["nowhere", "HOST:PORT"]),
        (&["--flight", "off", "--flight", "127.0.0.1:0"], 2, &["off"]),
    ];

    for (arguments, expected, words) in cases {
        let (status, said) = refused(arguments);

        assert_eq!(status, Some(expected), "{arguments:?}: {said}");
        assert!(words.iter().all(|word| said.contains(word)), "{arguments:?}: {said}");
        assert!(!said.contains("hunter2"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_connects_a_hundred_times_takes_nothing_from_the_near_door() {
    let store = Store::with_descriptors(96, &["--flight", "127.0.0.1:0"]);
    let url = store.urls()[0].clone();
    let address = url.trim_start_matches("grpc://");

    let crowd: Vec<_> = (0..100).map(|_| TcpStream::connect(address).unwrap()).collect();
    for number in 0..5 {
        let near = store.near();
        near.put_bytes(format!("{number}"), b"x", &PutOptions::default()).unwrap();
    }
    drop(crowd);

    sheaf_tests::eventually("there is a seat again", || {
        let listed = tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async {
                let channel = Channel::from_shared(url.replace("grpc", "http")).unwrap();
                let channel = channel.connect().await.ok()?;
                FlightServiceClient::new(channel).list_flights(Criteria::default()).await.ok()
            })
        });
        listed.is_some()
    });
}

#[tokio::test]
async fn the_tokens_that_the_program_makes_open_the_door() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens");
    let make = |arguments: &[&str]| {
        let mut command = Command::new(sheaf_bin());
        let output = command.arg("token").args(arguments).arg("--file").arg(&file).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        format!("Bearer {}", String::from_utf8(output.stdout).unwrap().trim())
    };
    let reader = make(&["reader"]);
    let path = file.to_str().unwrap();
    let store = Store::start(&["--flight", "127.0.0.1:0", "--token-file", path]);
    let url = &store.urls()[0];

    let writer = make(&["writer", "--write"]);

    assert_eq!(list(url, "").await, Err(tonic::Code::Unauthenticated));
    assert_eq!(list(url, &reader).await, Ok(0));
    assert_eq!(list(url, &writer).await, Ok(0), "it came later, and holds");
    let mut delete = Request::new(Action::new("delete", r#"{"name":"b"}"#));
    delete.metadata_mut().insert("authorization", reader.parse().unwrap());
    let refused = client(url).await.do_action(delete).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);
    let text = fs::read_to_string(&file).unwrap();
    assert!(!text.contains(reader.trim_start_matches("Bearer ")), "the file has no token");
}

#[tokio::test]
async fn tls_is_served_with_the_files_that_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("certificate"), own.cert.pem()).unwrap();
    fs::write(path("key"), own.signing_key.serialize_pem()).unwrap();
    let (certificate, key) = (path("certificate"), path("key"));
    let store =
        Store::start(&["--flight", "127.0.0.1:0", "--tls-cert", &certificate, "--tls-key", &key]);

    let url = store.urls()[0].replace("grpc+tls://127.0.0.1", "https://localhost");
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(own.cert.pem()));
    let channel = Channel::from_shared(url).unwrap().tls_config(tls).unwrap().connect().await;

    let mut client = FlightServiceClient::new(channel.unwrap());
    assert!(client.list_flights(Criteria::default()).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_told_to_end_ends_with_its_endpoint() {
    let socket = tempfile::tempdir().unwrap();
    let path = socket.path().join("flight.sock");
    let unix = format!("unix:{}", path.display());
    let mut store = Store::start(&["--flight", "127.0.0.1:0", "--flight", &unix]);
    let url = store.urls()[0].clone();
    let mut idle = client(&url).await;
    idle.list_flights(Criteria::default()).await.unwrap();
    let wait = Action::new("wait", r#"{"name":"never","timeout_ms":600000}"#);
    let mut second = idle.clone();
    let waiting = tokio::spawn(async move { second.do_action(wait).await.map(drop) });
    sheaf_tests::eventually("it waits", || {
        store.near().stat().is_ok_and(|stat| stat.get("waits") > 0)
    });

    signal(store.child.id(), Signal::TERM);

    let told = waiting.await.unwrap().unwrap_err();
    assert_eq!(told.code(), tonic::Code::Unavailable, "{told}");
    assert_eq!(store.child.wait().unwrap().code(), Some(0));
    assert!(!path.exists());
    assert!(idle.list_flights(Criteria::default()).await.is_err());
}

#[test]
fn a_store_that_does_not_start_says_so_at_once() {
    let first = Store::start(&["--flight", "127.0.0.1:0"]);
    let mut second = serve(first.folder.path(), &["--flight", "127.0.0.1:0"]).spawn().unwrap();

    let mut said = String::new();
    second.stderr.take().unwrap().read_to_string(&mut said).unwrap();

    assert_eq!(second.wait().unwrap().code(), Some(1));
    assert!(said.contains("a store already serves"), "{said}");
    assert!(!said.contains("Arrow Flight at"), "it has none: {said}");
}

/// A verb on the store at `url`: what it printed, or what it complained of.
fn verb(url: &str, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new(sheaf_bin());
    command.args(arguments).args(["--store", url]).env_remove("SHEAF_STORE");
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

#[test]
fn every_verb_goes_through_either_door() {
    let store = Store::start(&["--flight", "127.0.0.1:0"]);
    let url = &store.urls()[0];
    let csv = store.folder.path().join("t.csv");
    fs::write(&csv, "a,b\n1,x\n2,y\n").unwrap();
    let csv = csv.to_str().unwrap();
    let socket = store.folder.path().join("store.sock");

    for streams in [false, true] {
        if streams {
            // Where the near door is not found, everything is streamed.
            fs::rename(&socket, store.folder.path().join("moved.sock")).unwrap();
        }
        verb(url, &["put", "t", csv]).unwrap();
        verb(url, &["put", "--bytes", "raw", csv]).unwrap();
        assert_eq!(verb(url, &["get", "t", "--format", "csv"]).unwrap(), "a,b\n1,x\n2,y\n");
        assert_eq!(verb(url, &["get", "raw"]).unwrap(), "a,b\n1,x\n2,y\n");
        assert!(verb(url, &["ls"]).unwrap().contains("raw   bytes"));
        assert!(verb(url, &["show", "t"]).unwrap().contains("2 in 1 batch"));
        assert!(verb(url, &["schema", "t"]).unwrap().contains("a: int64"));
        assert!(verb(url, &["wait", "t", "--timeout", "10s"]).unwrap().contains("2 rows"));
        let at = if streams { url } else { socket.to_str().unwrap() };
        assert!(verb(url, &["stat"]).unwrap().contains(at));
        assert!(verb(url, &["put", "t", csv]).unwrap_err().contains("--replace"));
        verb(url, &["rm", "t", "raw"]).unwrap();
        assert!(verb(url, &["get", "t"]).unwrap_err().contains("no object t"));
    }
}

#[test]
fn verbs_show_a_token_and_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(path("crt"), certified.cert.pem()).unwrap();
    fs::write(path("key"), certified.signing_key.serialize_pem()).unwrap();
    let token = verb("unix:/none", &["token", "writer", "--write", "--file", &path("tokens")]);
    let (token, crt) = (token.unwrap(), path("crt"));
    let store = Store::start(&[
        "--flight",
        "localhost:0",
        "--token-file",
        &path("tokens"),
        "--tls-cert",
        &crt,
        "--tls-key",
        &path("key"),
    ]);
    let url = store.urls()[0].replace("127.0.0.1", "localhost");
    fs::rename(store.folder.path().join("store.sock"), path("moved.sock")).unwrap();

    assert_eq!(verb(&url, &["ls", "--ca", &crt, "--token", token.trim()]), Ok(String::new()));
    assert!(verb(&url, &["ls", "--ca", &crt]).unwrap_err().contains("token"));
    assert!(verb(&url, &["ls", "--token", token.trim()]).unwrap_err().contains("certificate"));
    assert!(verb("unix:/none", &["doctor", "--store", &url]).is_err());
}

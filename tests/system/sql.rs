//! SQL as users meet it: `sheaf sql`, and what becomes of statements when somebody dies.

use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use sheaf_store::{Client, Kind};
use sheaf_tests::{Daemon, eventually, sheaf_bin, signal};

/// What takes for ever.
const ENDLESS: &str = "select sum(a.value * b.value) from generate_series(1000000) a, \
                       generate_series(1000000) b";

fn sheaf(url: &str, args: &[&str]) -> Command {
    let mut command = Command::new(sheaf_bin());
    command.args(args).env("SHEAF_STORE", url).env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

fn run(daemon: &Daemon, args: &[&str]) -> Output {
    sheaf(&daemon.url(), args).output().expect("the program starts")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// How many statements are under way.
fn running(client: &Client) -> u64 {
    let text = "select arrow_cast(value, 'UInt64') from system.settings \
                where name = 'used.statements'";
    let table = client.sql(text, None).unwrap().table().unwrap();
    let batch = table.batch(0).unwrap();
    let column = batch.column(0).as_any().downcast_ref::<arrow_array::UInt64Array>().unwrap();
    column.value(0)
}

#[test]
fn a_result_goes_to_a_pipe_a_file_or_an_object() {
    let daemon = Daemon::start("64MiB");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("r.csv");
    let query = "select value as n from generate_series(1, 3)";

    let csv = run(&daemon, &["sql", query, "--format", "csv"]);
    assert_eq!(said(&csv), "n\n1\n2\n3\n", "{}", stderr(&csv));
    let written = run(&daemon, &["sql", query, "-o", file.to_str().unwrap()]);
    assert!(written.status.success(), "{}", stderr(&written));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "n\n1\n2\n3\n");
    let put = run(&daemon, &["sql", "--into", "numbers", query]);
    assert!(stderr(&put).contains("put 3 rows into numbers"), "{}", stderr(&put));
    let sum = run(&daemon, &["sql", "select sum(n) as s from numbers", "--format", "jsonl"]);
    assert_eq!(said(&sum), "{\"s\":6}\n");
    let again = run(&daemon, &["sql", "--into", "numbers", query]);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains("exists"), "{}", stderr(&again));
}

#[test]
fn a_statement_is_asked_through_flight_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("store.sock");
    let mut store = Command::new(sheaf_bin())
        .args(["serve", "--memory", "64MiB", "--flight", "127.0.0.1:0", "--socket"])
        .arg(&socket)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufRead::lines(std::io::BufReader::new(store.stderr.take().unwrap()));
    let mut url = String::new();
    for line in lines.map_while(Result::ok) {
        if let Some((_, at)) = line.split_once("Arrow Flight at ") {
            url = at.to_owned();
        }
        if line.contains("serving at") {
            break;
        }
    }
    let far = sheaf_flight::FarClient::connect(&url, &Default::default()).unwrap();
    let far: &dyn sheaf_store::Store = &far;

    let put = sheaf_store::PutOptions::default();
    let rows = far.sql("select * from generate_series(1, 300000)", Some((b"t", &put))).unwrap();
    assert_eq!(rows.table().unwrap().num_rows(), 300_000);
    let all = far.sql("select value + 1 from t", None).unwrap().table().unwrap();
    assert_eq!(all.num_rows(), 300_000);
    let counted = far.sql("insert into t values (1)", None).unwrap().table().unwrap();
    assert_eq!(counted.schema().field(0).name(), "count");
    assert_eq!(far.sql("select * from u", None).unwrap_err().kind(), Kind::NotFound);

    store.kill().unwrap();
    store.wait().unwrap();
}

#[test]
fn ctrl_c_and_kill_end_a_statement() {
    let daemon = Daemon::start("64MiB");
    let client = daemon.connect();
    for how in [Signal::INT, Signal::KILL] {
        let mut asker: Child = sheaf(&daemon.url(), &["sql", ENDLESS]).spawn().unwrap();
        eventually("it runs", || running(&client) == 1);

        signal(asker.id(), how);
        asker.wait().unwrap();

        let start = Instant::now();
        eventually("it has ended", || running(&client) == 0);
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn a_store_that_dies_in_a_statement_is_told_of_and_another_one_serves() {
    let mut daemon = Daemon::start("64MiB");
    let asker = sheaf(&daemon.url(), &["sql", ENDLESS]).stderr(Stdio::piped()).spawn().unwrap();
    let client = daemon.connect();
    eventually("it runs", || running(&client) == 1);

    daemon.kill();
    let output = asker.wait_with_output().unwrap();
    assert!(!output.status.success());
    assert!(stderr(&output).contains("lost"), "{}", stderr(&output));

    daemon.restart();
    assert_eq!(running(&daemon.connect()), 0);
}

#[test]
fn a_store_that_is_stopped_does_not_wait_for_a_statement() {
    let mut daemon = Daemon::start("64MiB");
    let mut asker = sheaf(&daemon.url(), &["sql", ENDLESS]).stderr(Stdio::piped()).spawn().unwrap();
    let client = daemon.connect();
    eventually("it runs", || running(&client) == 1);

    let start = Instant::now();
    assert!(daemon.terminate().success());

    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert!(!asker.wait().unwrap().success());
}

#[test]
fn a_killed_store_s_spill_is_removed_by_the_next_one() {
    let mut daemon = Daemon::start("64MiB");
    let folder = daemon.socket().parent().unwrap().to_owned();
    let spills = || {
        let names = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
        let spills = names.filter(|name| name.to_string_lossy().starts_with("sheaf-spill-"));
        spills.collect::<Vec<_>>()
    };
    let first = spills();
    assert_eq!(first.len(), 1);
    std::fs::write(folder.join(&first[0]).join("run"), b"rows").unwrap();

    daemon.kill();
    assert_eq!(spills(), first);
    daemon.restart();
    assert_eq!(spills().len(), 1);
    assert_ne!(spills(), first);

    assert!(daemon.terminate().success());
    assert!(spills().is_empty(), "{:?}", spills());
}

#[test]
fn a_store_without_sql_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let server = sheaf_store::Server::spawn(sheaf_store::ServeOptions::new(
        folder.path().join("store.sock"),
        16 << 20,
    ));
    let server = server.unwrap();

    let error = sheaf_store::connect(&server.url()).unwrap().sql("select 1", None).unwrap_err();

    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.to_string().contains("no SQL"), "{error}");
}

//! The `sheaf` program as its users meet it: arguments in, bytes and an exit status out.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use sheaf_store::PutOptions;
use sheaf_tests::{Daemon, sheaf_bin};

const CSV: &str = "k,s\n1,a\n2,\n3,c\n";

/// The program, speaking to this daemon.
fn sheaf(daemon: &Daemon, args: &[&str]) -> Command {
    let mut command = Command::new(sheaf_bin());
    command.args(args).env("SHEAF_STORE", daemon.url()).env_remove("RUST_LOG");
    command
}

fn run(daemon: &Daemon, args: &[&str]) -> Output {
    sheaf(daemon, args).stdin(Stdio::null()).output().expect("the program starts")
}

/// What it wrote to stdout; it must have succeeded.
fn read(daemon: &Daemon, args: &[&str]) -> String {
    let output = run(daemon, args);
    assert!(output.status.success(), "{args:?}: {}", stderr(&output));
    String::from_utf8(output.stdout).expect("text")
}

fn feed(daemon: &Daemon, args: &[&str], input: &[u8]) -> Output {
    let mut child = sheaf(daemon, args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    child.stdin.take().expect("a pipe").write_all(input).expect("it reads all");
    child.wait_with_output().expect("it ends")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of plain text")
}

#[test]
fn a_table_comes_back_through_every_format() {
    let daemon = Daemon::start("64MiB");
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("a.csv");
    fs::write(&source, CSV).unwrap();
    read(&daemon, &["put", "first", text(&source)]);

    for extension in ["parquet", "csv", "tsv", "arrow", "feather", "arrows", "jsonl"] {
        let file = folder.path().join(format!("b.{extension}"));
        read(&daemon, &["get", "first", "-o", text(&file)]);
        read(&daemon, &["put", extension, text(&file)]);

        let again = read(&daemon, &["get", extension, "--format", "csv"]);

        assert_eq!(again, CSV, "{extension}");
    }
}

#[test]
fn an_arrow_stream_flows_from_one_pipe_into_the_next() {
    let daemon = Daemon::start("64MiB");
    let put = feed(&daemon, &["put", "first", "-", "--format", "csv"], CSV.as_bytes());
    assert!(put.status.success(), "{}", stderr(&put));

    let stream = run(&daemon, &["get", "first"]);
    let again = feed(&daemon, &["put", "second", "-"], &stream.stdout);

    assert!(again.status.success(), "{}", stderr(&again));
    assert_eq!(read(&daemon, &["get", "second", "--format", "csv"]), CSV);
}

#[test]
fn bytes_go_through_unchanged() {
    let daemon = Daemon::start("64MiB");
    let folder = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    let (source, target) = (folder.path().join("a.bin"), folder.path().join("b.bin"));
    fs::write(&source, &bytes).unwrap();

    read(&daemon, &["put", "--bytes", "file", text(&source)]);
    read(&daemon, &["get", "file", "-o", text(&target)]);
    feed(&daemon, &["put", "--bytes", "pipe", "-"], &bytes);

    assert_eq!(fs::read(&target).unwrap(), bytes);
    assert_eq!(run(&daemon, &["get", "pipe"]).stdout, bytes);
}

#[test]
fn a_failure_is_one_line_and_status_one_and_misuse_status_two() {
    let daemon = Daemon::start("64MiB");
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.parquet");
    fs::write(&broken, "this is no parquet").unwrap();
    let unknown = folder.path().join("table.unknown");
    fs::write(&unknown, "x").unwrap();
    let missing = folder.path().join("missing");
    let cases: &[(&[&str], i32)] = &[
        (&["get", "missing"], 1),
        (&["rm", "missing"], 1),
        (&["show", "missing"], 1),
        (&["put", "t", text(&broken)], 1),
        (&["put", "t", "/no/such/file.csv"], 1),
        (&["wait", "missing", "--timeout", "10ms"], 1),
        (&["ls", "--store", "unix:/no/such/socket"], 1),
        (&["ls", "--store", "http://far:8815"], 2),
        (&["put", "t", text(&unknown)], 2),
        (&["put", "t", text(&missing)], 1),
        (&["put", "t", text(folder.path())], 1),
        (&["put", "--bytes", "t", text(folder.path())], 1),
        (&["show", "--hex", "0x123"], 2),
        (&[], 2),
        (&["get"], 2),
        (&["gte"], 2),
        (&["put", "--foo"], 2),
        (&["put", "t", "-", "--format", "xls"], 2),
        (&["wait", "x", "--timeout", "soon"], 2),
    ];
    for (args, status) in cases {
        let output = run(&daemon, args);

        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(*status), "{args:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{args:?}: {said}");
        assert!(said.starts_with("sheaf: "), "{args:?}: {said}");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn misuse_names_the_verbs_for_people_or_the_help_that_tells_more() {
    let daemon = Daemon::start("16MiB");

    let bare = stderr(&run(&daemon, &[]));
    let mistyped = stderr(&run(&daemon, &["put", "--foo"]));

    assert!(bare.contains("demo, serve, put, get"), "{bare}");
    assert!(!bare.contains("demo-reader"), "{bare}");
    assert_eq!(mistyped, "sheaf: unexpected argument '--foo' found (see sheaf put --help)\n");
}

#[test]
fn what_is_no_table_is_told_with_what_was_expected() {
    let daemon = Daemon::start("16MiB");
    let cases: &[(&[&str], &[u8], &str)] = &[
        (&["put", "t", "-"], b"", "an Arrow IPC stream or file was expected"),
        (&["put", "t", "-"], b"k,s\n1,a\n", "--format csv"),
        (&["put", "t", "-"], b"PAR1....", "is a Parquet file"),
        (&["put", "t", "-", "--format", "csv"], b"", "is empty"),
        (&["put", "t", "-", "--format", "jsonl"], b"", "is empty"),
    ];
    for (args, input, expected) in cases {
        let output = feed(&daemon, args, input);

        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        assert!(said.starts_with("sheaf: stdin: ") && said.contains(expected), "{said}");
    }
    assert_eq!(read(&daemon, &["ls", "--json"]).trim(), "[]");
}

#[test]
fn a_header_alone_is_a_table_and_its_lack_of_rows_is_told() {
    let daemon = Daemon::start("16MiB");

    let put = feed(&daemon, &["put", "t", "-", "--format", "csv"], b"k,s\n");

    assert!(put.status.success());
    assert!(stderr(&put).contains("put t: no rows, only columns"), "{}", stderr(&put));
    assert_eq!(read(&daemon, &["get", "t", "--format", "csv"]), "k,s\n");
}

#[test]
fn a_file_that_cannot_be_written_is_named_as_it_was_given() {
    let daemon = Daemon::start("16MiB");
    feed(&daemon, &["put", "t", "-", "--format", "csv"], CSV.as_bytes());

    let missing = stderr(&run(&daemon, &["get", "t", "-o", "/no/such/x.csv"]));
    let refused = stderr(&run(&daemon, &["get", "t", "-o", "/proc/x.csv"]));

    assert_eq!(missing, "sheaf: /no/such/x.csv: there is no folder /no/such\n");
    assert_eq!(refused, "sheaf: /proc/x.csv: No such file or directory\n");
}

#[test]
fn bytes_do_not_go_into_a_file_that_is_called_a_table() {
    let daemon = Daemon::start("16MiB");
    let folder = tempfile::tempdir().unwrap();
    let (table, plain) = (folder.path().join("x.csv"), folder.path().join("x.bin"));
    feed(&daemon, &["put", "--bytes", "blob", "-"], b"opaque");

    let refused = run(&daemon, &["get", "blob", "-o", text(&table)]);
    read(&daemon, &["get", "blob", "-o", text(&plain)]);

    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("blob.bin"), "{}", stderr(&refused));
    assert!(!table.exists());
    assert_eq!(fs::read(&plain).unwrap(), b"opaque");
}

#[test]
fn errors_speak_of_options_and_verbs() {
    let daemon = Daemon::start("16MiB");
    feed(&daemon, &["put", "--bytes", "blob", "-"], b"opaque");

    let taken = stderr(&feed(&daemon, &["put", "--bytes", "blob", "-"], b"again"));
    let no_table = stderr(&run(&daemon, &["schema", "blob"]));

    assert!(taken.contains("put with --replace"), "{taken}");
    assert!(no_table.contains("is bytes, not a table: see `sheaf get`"), "{no_table}");
}

#[test]
fn a_pipe_gets_no_progress_bar() {
    let daemon = Daemon::start("64MiB");
    let rows: String = (0..200_000).map(|i| format!("{i}\n")).collect();
    let csv = format!("k\n{rows}");

    let put = feed(&daemon, &["put", "t", "-", "--format", "csv"], csv.as_bytes());

    assert!(stderr(&put).starts_with("sheaf: put t: 200000 rows, "), "{}", stderr(&put));
    assert_eq!(stderr(&put).lines().count(), 1);
}

#[test]
fn the_doctor_tells_of_a_store_that_is_not_there_in_one_line_with_the_way_to_one() {
    let mut daemon = Daemon::start("16MiB");
    daemon.kill();

    let dead = read(&daemon, &["doctor", "--memory", "1MiB"]);

    let told: Vec<_> = dead.lines().filter(|line| line.contains("none runs at unix:")).collect();
    assert_eq!(told.len(), 1, "{dead}");
    assert!(dead.contains("    sheaf serve --socket "), "{dead}");
}

#[test]
fn a_put_that_fails_half_way_leaves_no_object_and_a_get_no_file() {
    let daemon = Daemon::start("64MiB");
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("late.csv");
    fs::write(&source, "x\n1\n2\nthree\n").unwrap();

    let put = run(&daemon, &["put", "t", text(&source), "--infer-rows", "1"]);

    assert_eq!(put.status.code(), Some(1));
    assert!(stderr(&put).contains("--infer-rows 0"), "{}", stderr(&put));
    assert_eq!(read(&daemon, &["ls", "--json"]).trim(), "[]");
}

#[test]
fn an_existing_name_is_kept_unless_it_is_to_be_replaced() {
    let daemon = Daemon::start("64MiB");
    let csv = ["put", "t", "-", "--format", "csv"];
    feed(&daemon, &csv, CSV.as_bytes());

    let refused = feed(&daemon, &csv, b"k\n9\n");
    let replaced = feed(&daemon, &[&csv[..], &["--replace"]].concat(), b"k\n9\n");

    assert_eq!(refused.status.code(), Some(1));
    assert!(replaced.status.success(), "{}", stderr(&replaced));
    assert_eq!(read(&daemon, &["get", "t", "--format", "csv"]), "k\n9\n");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let daemon = Daemon::start("64MiB");
    let rows: String = (0..200_000).map(|i| format!("{i}\n")).collect();
    feed(&daemon, &["put", "long", "-", "--format", "csv"], format!("k\n{rows}").as_bytes());

    let mut child = sheaf(&daemon, &["get", "long", "--format", "csv"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut start = [0; 2];
    child.stdout.take().unwrap().read_exact(&mut start).unwrap(); // And closed, like head.
    let output = child.wait_with_output().unwrap();

    assert!(output.status.success());
    assert_eq!(stderr(&output), "");
}

#[test]
fn ls_tells_who_holds_what_and_names_that_are_no_text() {
    let daemon = Daemon::start("64MiB");
    let store = daemon.connect();
    let odd: &[u8] = b"\x00\xffid";
    store.put_bytes(odd, b"held", &PutOptions::default()).unwrap();
    let bytes = vec![1; 2 << 20];
    store.put_bytes("large", &bytes, &PutOptions::default()).unwrap();
    let _held = store.get("large").unwrap();

    let list = read(&daemon, &["ls", "--holders"]);
    let json = read(&daemon, &["ls", "--holders", "--json"]);

    assert!(list.contains("0x00ff6964"), "{list}");
    assert!(list.lines().any(|line| line.starts_with("large")
        && line.contains(&std::process::id().to_string())), "{list}");
    assert!(json.contains("\"name_hex\": \"00ff6964\""), "{json}");
    assert_eq!(run(&daemon, &["get", "--hex", "0x00ff6964"]).stdout, b"held");
    read(&daemon, &["rm", "--hex", "00ff6964"]);
    assert_eq!(run(&daemon, &["show", "--hex", "00ff6964"]).status.code(), Some(1));
}

#[test]
fn wait_ends_when_the_object_comes() {
    let daemon = Daemon::start("64MiB");
    let waiting = sheaf(&daemon, &["wait", "later", "--timeout", "60s"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();

    daemon.connect().put_bytes("later", b"here", &PutOptions::default()).unwrap();

    let output = waiting.wait_with_output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.starts_with("later: 4 B (waited "), "{said}");
}

#[test]
fn stat_and_doctor_speak_json() {
    let daemon = Daemon::start("64MiB");

    let stat = read(&daemon, &["stat", "--json"]);
    let doctor = run(&daemon, &["doctor", "--json", "--memory", "1MiB"]);

    assert!(stat.contains(&format!("\"store_pid\": {}", daemon.pid())), "{stat}");
    assert!(stat.contains("\"sealed_bytes\": 0"), "{stat}");
    let doctor = String::from_utf8(doctor.stdout).unwrap();
    assert!(doctor.contains("\"name\": \"memory seals\""), "{doctor}");
    assert!(doctor.contains(&format!("pid {}", daemon.pid())), "{doctor}");
}

#[test]
fn every_verb_explains_itself() {
    for verb in [
        "demo", "serve", "put", "get", "ls", "show", "schema", "wait", "rm", "stat", "token",
        "doctor",
    ] {
        let output = Command::new(sheaf_bin()).args([verb, "--help"]).output().unwrap();

        let help = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{verb}");
        assert!(verb == "demo" || help.contains("Examples:"), "{verb}: {help}");
        assert!(help.contains("--store"), "{verb}: {help}");
    }
}

#[test]
fn the_demo_copies_nothing_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();

    let output = Command::new(sheaf_bin())
        .arg("demo")
        .env("TMPDIR", folder.path())
        .env_remove("SHEAF_STORE")
        .output()
        .unwrap();

    assert!(output.status.success(), "{}", stderr(&output));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let copied = said.lines().find(|line| line.contains("bytes copied by the reader")).unwrap();
    assert_eq!(copied.split_whitespace().nth(5), Some("0"), "{said}");
    assert!(said.lines().any(|line| line.starts_with("rows") && line.contains("336776")), "{said}");
    let flight = said.lines().find(|line| line.starts_with("  Flight ")).unwrap();
    assert!(flight.contains("336776 rows"), "{said}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

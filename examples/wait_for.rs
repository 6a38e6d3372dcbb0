//! Waiting for a table that is not there yet: it comes, or time runs out, or its writer dies.
//!
//! The program starts itself again as the writer that is killed. Nobody polls: who waits sleeps
//! until the store has something to say.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use sheaf_store::{Client, Kind, PutOptions, ServeOptions, Server};

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(url) = std::env::args().nth(1) {
        return write_until_killed(&url);
    }
    let folder = tempfile::tempdir()?;
    let server = Server::spawn(ServeOptions::new(folder.path().join("store.sock"), 64 << 20))?;
    let store = sheaf_store::connect(&server.url())?;

    // It comes: the wait ends with the seal.
    let object = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| store.get_timeout("later", LONG));
        until_somebody_waits(&store)?;
        store.put_bytes("later", b"here I am", &PutOptions::default())?;
        waiting.join().expect("the reader does not panic")
    })?;
    println!("it came: {}", String::from_utf8_lossy(object.as_bytes()));
    assert_eq!(object.as_bytes(), b"here I am");

    // Time runs out: it may still come, so the error says so by its kind.
    let error = store.get_timeout("never", Duration::from_millis(10)).expect_err("nobody puts it");
    println!("time ran out: {error}");
    assert_eq!(error.kind(), Kind::Timeout);

    // Its writer is killed: who waits learns it at once, not at the limit.
    let mut writer =
        Command::new(std::env::current_exe()?).arg(server.url()).stdout(Stdio::piped()).spawn()?;
    let mut said = String::new();
    BufReader::new(writer.stdout.take().ok_or("a pipe")?).read_line(&mut said)?;
    assert_eq!(said, "writing\n");
    let outcome = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| store.wait("doomed", LONG));
        let waits = until_somebody_waits(&store);
        let killed = writer.kill(); // SIGKILL: it gets no chance to say goodbye.
        let outcome = waiting.join().expect("the reader does not panic");
        waits.map(|()| killed.map(|()| outcome))
    });
    writer.wait()?;
    let error = outcome??.expect_err("nobody sealed it");
    println!("its writer died: {error}");
    assert_eq!(error.kind(), Kind::WriterGone);
    Ok(())
}

/// Begins an object, says so, and never ends it.
fn write_until_killed(url: &str) -> Result<(), Box<dyn Error>> {
    let store = sheaf_store::connect(url)?;
    let mut draft = store.create("doomed", 4 << 20, &PutOptions::default())?;
    draft.as_mut_slice().fill(1);
    println!("writing");
    loop {
        std::thread::park();
    }
}

/// Returns when the store has somebody waiting.
fn until_somebody_waits(store: &Client) -> sheaf_store::Result<()> {
    while store.stat()?.get("waits") == 0 {
        std::thread::yield_now();
    }
    Ok(())
}

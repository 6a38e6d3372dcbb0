//! Files: those of the folders that are allowed, and no others, whatever links and words lead to.

use std::os::unix::fs::symlink;

use sheaf_store::sql::{Question, Session};
use sheaf_store::{Kind, Result, Table};

use crate::harness::{House, MIB, block_on, question, told};

fn with_files() -> House {
    House::with(64 * MIB, |options, folder| {
        let files = folder.join("files");
        std::fs::create_dir(&files).unwrap();
        options.folders = vec![files];
    })
}

fn asked(session: &dyn Session, text: &str) -> Result<Table> {
    block_on(block_on(session.plan(question(text)))?.object(None))?.table()
}

#[test]
fn files_are_written_and_read_where_that_is_allowed() {
    let house = with_files();
    house.count("t", 1000);
    let path = house.folder.path().join("files/t.parquet").canonicalize();
    let path = path
        .unwrap_or_else(|_| house.folder.path().canonicalize().unwrap().join("files/t.parquet"));

    assert_eq!(house.wrote(&format!("copy t to '{}'", path.display())), 1000);
    let outside = house.sql(&format!("copy t to '{}/t.parquet'", house.folder.path().display()));
    assert_eq!(outside.unwrap_err().kind(), Kind::Denied);

    // An external table is its session's own.
    let session = house.session();
    let ask = |text: &str| asked(&*session, text);
    let create = format!("create external table e stored as parquet location '{}'", path.display());
    ask(&create).unwrap();
    assert_eq!(told(&ask("select sum(n) from e").unwrap()), "499500");
    assert_eq!(house.sql("select * from e").unwrap_err().kind(), Kind::NotFound);
    ask("create table t2 as select * from e").unwrap();
    assert_eq!(house.number("select sum(n) from t2"), 499_500);
    let denied = ask("create external table p stored as csv location '/etc/passwd'").unwrap_err();
    assert_eq!(denied.kind(), Kind::Denied);
    assert_eq!(ask("select * from '/etc/passwd'").unwrap_err().kind(), Kind::NotFound);

    let without = House::new();
    without.count("t", 1);
    let denied = without.sql("copy t to '/tmp/t.parquet'").unwrap_err();
    assert!(denied.to_string().contains("--sql-dir"), "{denied}");
}

#[test]
fn what_only_reads_writes_no_files() {
    let house = with_files();
    house.count("t", 10);
    let folder = house.folder.path().canonicalize().unwrap();
    let session = house.session();
    for at in ["files/t.csv", "outside.csv"] {
        let path = folder.join(at);
        for text in ["explain analyze copy t to", "explain copy t to", "explain verbose copy t to"]
        {
            for may_write in [true, false] {
                let question =
                    Question { may_write, ..question(&format!("{text} '{}'", path.display())) };
                let error = block_on(session.plan(question)).err().expect("it is refused");
                assert!(error.to_string().contains("explain"), "{error}");
                assert!(!path.exists());
            }
        }
    }
    for text in ["explain create table u as select 1", "explain insert into t select 1, 1, 's'"] {
        let error = asked(&*session, text).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{text}: {error}");
    }
}

#[test]
fn links_lead_nowhere_whenever_they_are_made() {
    let house = with_files();
    let folder = house.folder.path().canonicalize().unwrap();
    let (files, secret) = (folder.join("files"), folder.join("secret"));
    std::fs::create_dir(&secret).unwrap();
    std::fs::write(secret.join("s.csv"), "a\nsecret\n").unwrap();
    std::fs::write(files.join("own.csv"), "a\nown\n").unwrap();
    symlink(secret.join("s.csv"), files.join("link.csv")).unwrap();
    symlink(&secret, files.join("wayout")).unwrap();
    let session = house.session();
    let ask = |text: &str| asked(&*session, text);
    let create = |name: &str, at: &str| {
        ask(&format!("create external table {name} stored as csv location '{at}'"))
    };
    let at = |part: &str| format!("{}/{part}", files.display());

    // What a folder lists.
    create("all_of_it", &at("")).unwrap();
    assert_eq!(told(&ask("select * from all_of_it").unwrap()), "own");
    // What was a file when the table was made.
    std::fs::write(files.join("later.csv"), "a\nfirst\n").unwrap();
    create("later", &at("later.csv")).unwrap();
    std::fs::remove_file(files.join("later.csv")).unwrap();
    symlink(secret.join("s.csv"), files.join("later.csv")).unwrap();
    let error = ask("select * from later").unwrap_err();
    assert!(!error.to_string().contains("secret\n"), "{error}");
    assert!(matches!(error.kind(), Kind::Denied | Kind::NotFound), "{:?} {error}", error.kind());
    // What is written through a folder that is a link.
    ask("create table t as select 1 as a").unwrap();
    let denied = ask(&format!("copy t to '{}'", at("wayout/w.csv"))).unwrap_err();
    assert_eq!(denied.kind(), Kind::Denied, "{denied}");
    for far in ["s3://bucket/t.csv", "https://host/t.csv", "file:///etc/passwd"] {
        assert_eq!(create("far", far).unwrap_err().kind(), Kind::Denied, "{far}");
    }
}

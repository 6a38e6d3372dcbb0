//! Holds `docs/protocol.md` to the code: every message, field, type, number and example.

use bytes::Bytes;

use super::frame::{self, HEADER_BYTES, MAX_BODY_BYTES, MAX_DESCRIPTORS};
use super::message::{
    Counter, Delete, Done, Failed, Get, Grant, Happened, Label, PutItem, Released, Reply, Request,
    Sealed,
};
use crate::error::Kind;
use crate::object::Name;

const PAGE: &str = include_str!("../../../docs/protocol.md");

type Fields = &'static [(&'static str, &'static str)];

/// The rows of the first table below a heading: the first two cells of each.
fn rows_below(heading: &str) -> Vec<(String, String)> {
    let mut lines = PAGE.lines().skip_while(|line| *line != heading);
    assert!(lines.next().is_some(), "docs/protocol.md has no line «{heading}»");
    lines
        .take_while(|line| !line.starts_with('#'))
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            let mut cells = line.split('|').skip(1).map(|cell| cell.trim().trim_matches('`'));
            let mut cell = || cells.next().unwrap_or_default().to_owned();
            (cell(), cell())
        })
        .collect()
}

fn assert_fields(heading: &str, fields: Fields) {
    let expected: Vec<_> =
        fields.iter().map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned())).collect();
    assert_eq!(rows_below(heading), expected, "docs/protocol.md, {heading}");
}

#[test]
fn the_page_gives_every_message_with_its_fields() {
    for (code, name, fields) in Request::TABLE.iter().chain(Reply::TABLE) {
        assert_fields(&format!("### {code:#04x} {name}"), fields);
    }
}

#[test]
fn the_page_gives_no_message_that_is_not_there() {
    let known: Vec<String> = Request::TABLE
        .iter()
        .chain(Reply::TABLE)
        .map(|(code, name, _)| format!("### {code:#04x} {name}"))
        .collect();
    for line in PAGE.lines().filter(|line| line.starts_with("### 0x")) {
        assert!(known.iter().any(|heading| heading == line), "no such message: {line}");
    }
}

#[test]
fn the_page_gives_the_parts_of_messages() {
    let parts: [(&str, Fields); 6] = [
        ("Label", Label::FIELDS),
        ("PutItem", PutItem::FIELDS),
        ("Released", Released::FIELDS),
        ("Grant", Grant::FIELDS),
        ("Sealed", Sealed::FIELDS),
        ("Counter", Counter::FIELDS),
    ];
    for (name, fields) in parts.into_iter().filter(|(name, _)| *name != "Sealed") {
        assert_fields(&format!("### {name}"), fields);
    }
}

#[test]
fn the_page_gives_the_error_kinds_and_limits() {
    let expected: Vec<_> =
        Kind::ALL.iter().map(|(_, code, name)| (code.to_string(), (*name).to_owned())).collect();
    assert_eq!(rows_below("## Error kinds"), expected);
    for limit in [HEADER_BYTES, MAX_BODY_BYTES, MAX_DESCRIPTORS, crate::server::MAX_ITEMS] {
        assert!(PAGE.contains(&format!("`{limit}`")), "the page lacks the limit {limit}");
    }
}

#[test]
fn the_page_shows_frames_as_they_are_sent() {
    let name = Name::new("trades").unwrap();
    let frames = [
        request(7, Get { timeout_ms: 5000, hold: true, names: vec![name.clone()] }.into()),
        request(8, Delete { name: name.clone() }.into()),
        reply(8, Done {}.into()),
        reply(9, Failed { kind: 1, message: "no object trades".into() }.into()),
        reply(
            3,
            Happened {
                kind: crate::object::EventKind::Sealed,
                name,
                bytes: 4096,
                metadata_bytes: 0,
            }
            .into(),
        ),
    ];
    for bytes in frames {
        let dump = bytes
            .chunks(16)
            .map(|line| line.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" "))
            .collect::<Vec<_>>()
            .join("\n");
        assert!(PAGE.contains(&dump), "docs/protocol.md lacks this frame:\n{dump}");
    }
}

fn request(id: u64, request: Request) -> Vec<u8> {
    let mut out = Vec::new();
    frame::write(&mut out, request.code(), 0, id, |body| request.put(body));
    let again = Request::take(request.code(), Bytes::copy_from_slice(&out[HEADER_BYTES..]));
    assert_eq!(again.unwrap(), request);
    out
}

fn reply(id: u64, reply: Reply) -> Vec<u8> {
    let mut out = Vec::new();
    frame::write(&mut out, reply.code(), 0, id, |body| reply.put(body));
    let again = Reply::take(reply.code(), Bytes::copy_from_slice(&out[HEADER_BYTES..]));
    assert_eq!(again.unwrap(), reply);
    out
}

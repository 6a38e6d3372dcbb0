//! The house is tidy: every module says what it is, no file grows too long, no link is dead.

use std::path::{Path, PathBuf};

/// Lines that a file of code may have.
const MOST_LINES: usize = 600;

/// Lines that a file of tests may have.
const MOST_TEST_LINES: usize = 900;

/// Characters that a line may have.
const MOST_COLUMNS: usize = 100;

/// Every file of the workspace with this extension, but for what is built or fetched.
fn files(extension: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a folder of the workspace");
    let mut folders = vec![root.to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let skipped = ["target", "node_modules", "site-packages"].contains(&name.as_str());
            if path.is_dir() && !skipped && !name.starts_with('.') {
                folders.push(path);
            } else if path.extension().is_some_and(|has| has == extension) && path.is_file() {
                let text = std::fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root).unwrap().to_owned(), text));
            }
        }
    }
    found.sort();
    found
}

fn assert_none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

#[test]
fn every_module_says_what_it_is() {
    let silent = |(path, text): (PathBuf, String)| {
        (!text.starts_with("//!")).then(|| path.display().to_string())
    };

    let found: Vec<_> = files("rs").into_iter().filter_map(silent).collect();

    assert_none("files that do not begin with //!", &found);
}

#[test]
fn no_file_is_too_long() {
    let is_test = |path: &Path| {
        path.components().any(|part| {
            let part = part.as_os_str();
            part == "tests" || part == "tests.rs"
        })
    };
    let too_long = |(path, text): (PathBuf, String)| {
        let most = if is_test(&path) { MOST_TEST_LINES } else { MOST_LINES };
        let lines = text.lines().count();
        (lines > most).then(|| format!("{}: {lines} lines, more than {most}", path.display()))
    };

    let found: Vec<_> = files("rs").into_iter().filter_map(too_long).collect();

    assert_none("files that want to be two", &found);
}

/// What each line has to be reproached with, and where.
fn reproaches(text: &str, path: &Path, reproach: impl Fn(&str) -> bool) -> Vec<String> {
    let lines = text.lines().enumerate().filter(|(_, line)| reproach(line));
    lines.map(|(number, line)| format!("{}:{}: {line}", path.display(), number + 1)).collect()
}

#[test]
fn no_line_is_too_long() {
    let found: Vec<_> = files("rs")
        .iter()
        .flat_map(|(path, text)| reproaches(text, path, |line| line.chars().count() > MOST_COLUMNS))
        .collect();

    assert_none("lines of more than 100 characters", &found);
}

#[test]
fn nothing_is_left_to_be_done() {
    // In two parts, so that they do not stand here.
    let words = [concat!("todo", "!("), concat!("db", "g!("), concat!("FIX", "ME")];

    let found: Vec<_> = ["rs", "py", "md", "toml"]
        .into_iter()
        .flat_map(files)
        .flat_map(|(path, text)| {
            reproaches(&text, &path, |line| words.iter().any(|word| line.contains(word)))
        })
        .collect();

    assert_none("leftovers", &found);
}

/// The targets of a page's links, but for those in code.
fn links(text: &str) -> Vec<String> {
    let mut in_code = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        // Every second piece between backticks is code.
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("_");
        for piece in prose.split("](").skip(1) {
            if let Some((target, _)) = piece.split_once(')') {
                found.push(target.split_whitespace().next().unwrap_or_default().to_owned());
            }
        }
    }
    found
}

#[test]
fn no_link_in_the_docs_is_dead() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut dead = Vec::new();
    for (path, text) in files("md") {
        for link in links(&text) {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let page = root.join(&path);
            let folder = page.parent().expect("a page lies in a folder");
            if !folder.join(target).exists() {
                dead.push(format!("{}: {link}", path.display()));
            }
        }
    }

    assert_none("links that lead nowhere", &dead);
}

#[test]
fn links_are_found_in_prose_only() {
    let page = "a [b](c.md#d) and [`e`](f/g.rs \"title\")\n```\n[x](y)\n```\n`[x](y)`";

    assert_eq!(links(page), ["c.md#d", "f/g.rs"]);
}

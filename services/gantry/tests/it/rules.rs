//! Checks of docs/: named tests exist, quoted code is code of the source, decisions are numbered.

use std::{collections::BTreeSet, fs, path::Path};

use crate::architecture::{root, rust_files};

/// Returns the names in the last column of each table if its head is `tests`.
fn named(markdown: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    let mut counts = false;
    for line in markdown.lines() {
        let Some(cells) = line.strip_prefix('|').and_then(|line| line.trim_end().strip_suffix('|'))
        else {
            counts = false;
            continue;
        };
        let last = cells.rsplit('|').next().unwrap_or_default().trim();
        if counts {
            names.extend(last.split('`').skip(1).step_by(2));
        }
        counts |= last == "tests";
    }
    names
}

/// Returns the functions of a file with a test attribute.
fn tests(source: &str) -> BTreeSet<&str> {
    let mut names = BTreeSet::new();
    let mut attribute = false;
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            attribute = true;
        } else if let Some((_, name)) = line.split_once("fn ")
            && std::mem::take(&mut attribute)
        {
            names.insert(name.split(['(', '<']).next().unwrap_or_default());
        }
    }
    names
}

#[test]
fn every_test_that_a_document_names_exists() {
    let sources: Vec<String> = ["shared", "services", "proto"]
        .iter()
        .flat_map(|folder| rust_files(&root().join(folder)))
        .map(|file| fs::read_to_string(file).expect("a source file is text"))
        .collect();
    let exists: BTreeSet<&str> = sources.iter().flat_map(|source| tests(source)).collect();
    let (mut wrong, mut read) = (Vec::new(), 0);
    for document in fs::read_dir(root().join("docs")).expect("the documents") {
        let path = document.expect("a document").path();
        if path.extension() != Some("md".as_ref()) {
            continue;
        }
        let markdown = fs::read_to_string(&path).expect("a document is text");
        let names = named(&markdown);
        read += names.len();
        let missing = names.iter().filter(|name| !exists.contains(*name));
        let document = path.file_name().map(Path::new).expect("a name").display();
        wrong.extend(missing.map(|name| format!("{document}: no test is named {name}")));
    }
    assert!(read > 80, "only {read} names were read");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_table_reader_sees_what_it_must() {
    let markdown =
        "| rule | tests |\n|---|---|\n| `a` | `b`, `c` |\n\n| x | y |\n|---|---|\n| d | `e` |";
    assert_eq!(named(markdown), BTreeSet::from(["b", "c"]));
    let source = "fn helper() {}\n#[test]\nfn one() {}\n#[tokio::test(start_paused = true)]\n\
                  #[ignore]\nasync fn two() {}\nfn three() {}";
    assert_eq!(tests(source), BTreeSet::from(["one", "two"]));
}

/// Returns the code blocks of a tutorial with the files that they quote. The line before a block has the
/// path and a colon.
fn quoted(markdown: &str) -> Vec<(&str, &str)> {
    let blocks = markdown.split("\n```").collect::<Vec<_>>();
    // Texts and blocks alternate.
    let pairs = blocks.chunks_exact(2);
    let quotes = pairs.filter_map(|pair| {
        let path = pair[0].trim_end().lines().last()?.strip_prefix('`')?.strip_suffix("`:")?;
        Some((path, pair[1].split_once('\n')?.1))
    });
    quotes.collect()
}

#[test]
fn code_in_documents_is_code_that_compiles() {
    for (document, least) in [("docs/BUILD_A_SERVICE.md", 9), ("README.md", 1)] {
        let text = fs::read_to_string(root().join(document)).expect("text");
        let quotes = quoted(&text);
        assert!(quotes.len() >= least, "only {} quotes were read in {document}", quotes.len());
        for (path, code) in quotes {
            let file = fs::read_to_string(root().join(path)).unwrap_or_default();
            assert!(file.contains(code), "{document}: {path} does not have:\n{code}");
        }
    }
}

/// Files of the checkout that a document links, without the anchors.
fn linked(markdown: &str) -> impl Iterator<Item = &str> {
    let links = markdown.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    links
        .map(|(link, _)| link.split_once('#').map_or(link, |(file, _)| file))
        .filter(|file| !file.is_empty() && !file.contains("://"))
}

#[test]
fn every_file_that_a_document_links_exists() {
    let mut documents =
        ["README.md", "CHANGELOG.md", "CONTRIBUTING.md"].map(|name| root().join(name)).to_vec();
    for folder in ["docs", "docs/decisions", "docs/benchmarks"] {
        let entries = fs::read_dir(root().join(folder)).expect("the documents");
        let paths = entries.map(|entry| entry.expect("a document").path());
        documents.extend(paths.filter(|path| path.extension() == Some("md".as_ref())));
    }
    let (mut wrong, mut read) = (Vec::new(), 0);
    for document in documents {
        let markdown = fs::read_to_string(&document).expect("a document is text");
        let folder = document.parent().expect("a document is in a folder");
        for link in linked(&markdown) {
            read += 1;
            if !folder.join(link).exists() {
                wrong.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(read > 30, "only {read} links were read");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn decisions_are_numbered_one_after_the_other() {
    let names = fs::read_dir(root().join("docs/decisions")).expect("the decisions");
    let mut names: Vec<String> = names
        .map(|name| name.expect("a decision").file_name().into_string().expect("text"))
        .filter(|name| name != "README.md")
        .collect();
    names.sort_unstable();
    for (number, name) in (1..).zip(&names) {
        assert!(name.starts_with(&format!("{number:04}-")), "number {number} is not {name}");
        let record = fs::read_to_string(root().join("docs/decisions").join(name)).expect("text");
        assert!(record.starts_with(&format!("# {number}. ")), "{name} says another number");
    }
}

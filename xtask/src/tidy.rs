//! The laws of the house, checked: floors and who may see whom (`floors`), and how files read (`text`).
//!
//! `cargo xtask tidy` prints every breach with its place and exits non-zero; `make test` runs it.

mod floors;
mod text;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// One breach of a law: where, and what to do about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Breach {
    pub(crate) place: String,
    pub(crate) law: String,
}

impl Breach {
    fn new(place: impl Into<String>, law: impl Into<String>) -> Breach {
        Breach { place: place.into(), law: law.into() }
    }
}

/// Checks the whole workspace at `root`.
pub(crate) fn run(root: &Path) -> Result<()> {
    let mut breaches = floors::check(&floors::read(root)?);
    let mut files = Vec::new();
    for folder in ["crates", "xtask", "examples"] {
        collect(&root.join(folder), &mut files)?;
    }
    files.sort();
    for file in &files {
        let body = fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
        let place = file.strip_prefix(root).unwrap_or(file);
        breaches.extend(text::check(place, &body));
    }
    for breach in &breaches {
        println!("{}: {}", breach.place, breach.law);
    }
    if breaches.is_empty() {
        println!("tidy: {} files keep the laws of the house", files.len());
        return Ok(());
    }
    bail!("{} breaches of the laws of the house (ARCHITECTURE.md)", breaches.len())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

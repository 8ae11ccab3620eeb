//! Who may rest on whom: arrows go only to a strictly lower floor, and some rooms are seen by few.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::Breach;

/// Rooms that only the named rooms may see (ARCHITECTURE.md, "Laws").
const SEEN_ONLY_BY: [(&str, &[&str]); 13] = [
    ("apiserver", &["dory", "testing"]),
    ("kinds", &["apiserver"]),
    ("store", &["apiserver", "managed", "dory", "testing"]),
    ("sandbox", &["node", "instance", "functions", "dory", "testing"]),
    ("instance", &["functions"]),
    ("net", &["sandbox", "node", "dory", "testing"]),
    ("container", &["sandbox"]),
    ("registry", &["sandbox"]),
    ("wire", &["iam", "lambda", "messaging", "s3", "aws"]),
    ("iam", &["lambda", "messaging", "s3", "aws"]),
    ("lambda", &["aws"]),
    ("messaging", &["aws"]),
    ("s3", &["aws"]),
];

/// Heavy dependencies, fenced into the rooms that exist to hold them.
const FENCED: [(&str, &[&str]); 4] =
    [("kube", &["client"]), ("k8s-openapi", &["client"]), ("rusqlite", &["store"]), ("clap", &["cli"])];

/// One room as its manifest says.
#[derive(Debug, Default)]
pub(crate) struct Room {
    floor: Option<u8>,
    /// Normal dependencies, rooms and others.
    dependencies: Vec<String>,
}

/// Reads every room's manifest.
pub(crate) fn read(root: &Path) -> Result<BTreeMap<String, Room>> {
    let mut rooms = BTreeMap::new();
    for entry in fs::read_dir(root.join("crates")).context("reading crates/")? {
        let entry = entry?;
        let manifest = entry.path().join("Cargo.toml");
        let text =
            fs::read_to_string(&manifest).with_context(|| format!("reading {}", manifest.display()))?;
        rooms.insert(entry.file_name().to_string_lossy().into_owned(), parse(&text));
    }
    Ok(rooms)
}

/// The two things this test needs from a manifest, read by line: no TOML crate for two keys.
fn parse(manifest: &str) -> Room {
    let mut room = Room::default();
    let mut section = "";
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        } else if section == "[package.metadata.house]"
            && let Some(floor) = line.strip_prefix("floor = ")
        {
            room.floor = floor.parse().ok();
        } else if section == "[dependencies]"
            && let Some(name) = line.split(['.', ' ', '=']).next().filter(|name| !name.is_empty())
            && !name.starts_with('#')
        {
            room.dependencies.push(name.to_owned());
        }
    }
    room
}

/// Every arrow that points sideways, up, or at a room or crate that is not for its owner to see.
pub(crate) fn check(rooms: &BTreeMap<String, Room>) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (name, room) in rooms {
        let place = format!("crates/{name}/Cargo.toml");
        // `testing` stands beside the house, for development only: no floor binds it.
        if name == "testing" {
            continue;
        }
        let Some(floor) = room.floor else {
            breaches.push(Breach::new(&place, "says no floor: add [package.metadata.house] floor = N"));
            continue;
        };
        for dependency in &room.dependencies {
            let lower = rooms.get(dependency).map(|other| other.floor.unwrap_or(u8::MAX));
            if lower.is_some_and(|lower| lower >= floor) {
                breaches.push(Breach::new(
                    &place,
                    format!("rests on {dependency}, which is not on a lower floor"),
                ));
            }
            let seen = SEEN_ONLY_BY.iter().chain(&FENCED).find(|(seen, _)| seen == dependency);
            if let Some((_, by)) = seen.filter(|(_, by)| !by.contains(&name.as_str())) {
                breaches.push(Breach::new(
                    &place,
                    format!("sees {dependency}, which only {} may", by.join(", ")),
                ));
            }
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn house(rooms: &[(&str, u8, &str)]) -> Vec<String> {
        let rooms = rooms
            .iter()
            .map(|(name, floor, dependencies)| {
                let text =
                    format!("[package.metadata.house]\nfloor = {floor}\n[dependencies]\n{dependencies}");
                ((*name).to_owned(), parse(&text))
            })
            .collect();
        check(&rooms).into_iter().map(|breach| breach.law).collect()
    }

    #[test]
    fn an_arrow_down_is_lawful() {
        let rooms =
            [("store", 0, ""), ("apiserver", 1, "store.workspace = true"), ("dory", 5, "apiserver = {}")];
        assert_eq!(house(&rooms), Vec::<String>::new());
    }

    #[test]
    fn sideways_up_and_unseen_are_breaches() {
        let rooms = [
            ("store", 0, "client.workspace = true"),
            ("client", 1, "kube.workspace = true"),
            ("node", 3, "store.workspace = true\nkube.workspace = true\nscheduler.workspace = true"),
            ("scheduler", 3, ""),
        ];
        let laws = house(&rooms);
        assert_eq!(laws.len(), 4, "{laws:?}");
        assert!(laws[0].contains("only apiserver"), "{laws:?}");
        assert!(laws[1].contains("kube"), "{laws:?}");
        assert!(laws[2].contains("scheduler, which is not on a lower floor"), "{laws:?}");
        assert!(laws[3].contains("client, which is not on a lower floor"), "{laws:?}");
    }
}

//! How a source file reads: its opening, its length, its functions' lengths, its name, what it promises.

use std::path::Path;

use super::Breach;

/// style.md's ceiling for a file; a table of cases is no program text and may be longer in a `tests` file.
const FILE_LINES_MAX: usize = 600;
/// style.md's ceiling for a function is 60; some room for a long `match` that is one table.
const FUNCTION_LINES_MAX: usize = 80;
const BANNED_NAMES: [&str; 7] = ["utils", "util", "common", "helpers", "misc", "shared", "manager"];

/// Checks one file; `place` is its path from the root of the workspace.
pub(crate) fn check(place: &Path, body: &str) -> Vec<Breach> {
    let name = place.display().to_string();
    let lines: Vec<&str> = body.lines().collect();
    let mut breaches = Vec::new();
    if !body.starts_with("//!") && !name.contains("/tests/") {
        breaches.push(Breach::new(&name, "does not open with //!: say what the file owns and never does"));
    }
    if lines.len() > FILE_LINES_MAX {
        breaches.push(Breach::new(&name, format!("has {} lines; {FILE_LINES_MAX} is the most", lines.len())));
    }
    let stem = place.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    if BANNED_NAMES.contains(&stem) || stem == "mod" {
        breaches.push(Breach::new(&name, format!("is named `{stem}`: name the one thing it holds")));
    }
    breaches.extend(long_functions(&name, &lines));
    breaches.extend(lines.iter().enumerate().filter_map(|(at, line)| promise(&name, at, line)));
    breaches
}

/// A marker of later work or a silenced warning; the needles are split so that this file does not find itself.
fn promise(name: &str, at: usize, line: &str) -> Option<Breach> {
    let needles = [
        (concat!("todo", "!("), "promises later work: do it or open an issue"),
        (concat!("unimplemented", "!("), "promises later work: refuse with a clear error"),
        (concat!("FIX", "ME"), "promises later work: do it or open an issue"),
        (concat!("#[al", "low("), "hides a warning: use #[expect(lint, reason = \"…\")]"),
        (concat!("#[ig", "nore"), "hides a test: report a skip at run time instead"),
    ];
    let (_, law) = needles.iter().find(|(needle, _)| line.contains(needle))?;
    Some(Breach::new(format!("{name}:{}", at + 1), *law))
}

/// Functions end at the first line that closes a brace at the indentation they opened at: rustfmt guarantees it.
fn long_functions(name: &str, lines: &[&str]) -> Vec<Breach> {
    let mut breaches = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let indent = line.len() - code.len();
        if !is_function(code) {
            continue;
        }
        let close = format!("{}}}", " ".repeat(indent));
        let end = lines[at..].iter().position(|line| {
            *line == close || line.trim_end().ends_with(';') && line.len() - line.trim_start().len() == indent
        });
        let length = end.map_or(0, |end| end + 1);
        if length > FUNCTION_LINES_MAX {
            let law = format!("is a function of {length} lines; {FUNCTION_LINES_MAX} is the most");
            breaches.push(Breach::new(format!("{name}:{}", at + 1), law));
        }
    }
    breaches
}

fn is_function(code: &str) -> bool {
    let mut words = code.split_whitespace();
    words.by_ref().find(|word| {
        !matches!(*word, "async" | "const" | "unsafe" | "extern" | "\"C\"")
            && !word.starts_with("pub")
            && *word != "crate)"
            && *word != "super)"
    }) == Some("fn")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn laws(place: &str, body: &str) -> Vec<String> {
        check(Path::new(place), body)
            .into_iter()
            .map(|breach| format!("{}: {}", breach.place, breach.law))
            .collect()
    }

    #[test]
    fn a_calm_file_passes() {
        assert_eq!(laws("crates/x/src/queue.rs", "//! A queue.\n\nfn a() {\n}\n"), Vec::<String>::new());
    }

    #[test]
    fn each_breach_is_found_at_its_place() {
        assert!(laws("crates/x/src/a.rs", "fn a() {}\n")[0].contains("does not open"));
        assert!(laws("crates/x/src/utils.rs", "//! x\n")[0].contains("named `utils`"));
        let long = format!("//! x\n    pub(crate) async fn a() {{\n{}    }}\n", "        b();\n".repeat(90));
        assert!(laws("crates/x/src/a.rs", &long)[0].starts_with("crates/x/src/a.rs:2: is a function of 92"));
        let lines = "//! x\n".to_owned() + &"// y\n".repeat(600);
        assert!(laws("crates/x/src/a.rs", &lines)[0].contains("601 lines"));
        let hidden = concat!("//! x\n#[al", "low(dead_code)]\n");
        assert!(laws("crates/x/src/a.rs", hidden)[0].starts_with("crates/x/src/a.rs:2: hides"));
    }
}

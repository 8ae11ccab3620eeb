//! Development tasks that live beside the house: `cargo xtask tidy`, `cargo xtask schema`,
//! `cargo xtask wire`.

mod schema;
mod tidy;
mod wire;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["tidy"] => tidy::run(root),
        ["schema", swagger] => schema::run(root, Path::new(swagger)),
        ["wire", modules] => wire::run(root, Path::new(modules)),
        _ => anyhow::bail!("usage: cargo xtask tidy | schema PATH/swagger.json | wire GO-MODULES/k8s.io"),
    }
}

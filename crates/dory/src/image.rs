//! `dory image …`: works on the image store of the data directory, whether the platform runs or not.

use std::fs::File;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context, Result};
use cli::{Image, format_bytes};
use sandbox::image::{Config, Store};

use crate::data_dir::DataDir;
use crate::parts;

pub fn run(data: &DataDir, command: Image) -> Result<()> {
    data.create()?;
    let images = parts::images(data)?;
    match command {
        Image::Build { source, tag, entrypoint, environment, user, workdir } => {
            let config = Config {
                entrypoint,
                env: environment,
                user: user.unwrap_or_default(),
                working_dir: workdir.unwrap_or_default(),
                ..Config::default()
            };
            let image = images.build(&source, &tag, config)?;
            println!("{tag}\n  {}", image.id);
        }
        Image::Import { tar, tag } => {
            let image = images.import(&mut open(&tar)?, &tag, Config::default())?;
            println!("{tag}\n  {}", image.id);
        }
        Image::Load { tar } => {
            for image in images.load(&mut open(&tar)?, None)? {
                println!("{}\n  {}", image.name, image.id);
            }
        }
        Image::Ls => list(&images)?,
        Image::Rm { names } => {
            for name in names {
                let removed = images.remove(&name)?;
                println!("{name} removed, {} freed", format_bytes(removed.size_bytes));
            }
        }
    }
    Ok(())
}

fn open(tar: &Path) -> Result<File> {
    File::open(tar).with_context(|| format!("cannot read {}", tar.display()))
}

fn list(images: &Store) -> Result<()> {
    let all = images.list()?;
    let width = all.iter().map(|image| image.name.len()).max().unwrap_or(0).max("NAME".len());
    println!("{:width$}  {:12}  {:>9}  CREATED", "NAME", "ID", "SIZE");
    for image in all {
        let id = image.id.to_string();
        let short = id.trim_start_matches("sha256:").chars().take(12).collect::<String>();
        println!(
            "{:width$}  {short}  {:>9}  {}",
            image.name,
            format_bytes(image.size_bytes),
            day(image.created)
        );
    }
    Ok(())
}

fn day(time: SystemTime) -> String {
    let time = jiff::Timestamp::try_from(time).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%d").to_string()
}

//! `dory image …`: works on the image store of the data directory, whether the platform runs or not.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use anyhow::{Context, Result};
use cli::{Image, format_bytes};
use sandbox::image::{Config, Name, Store};

use crate::Environment;
use crate::data_dir::DataDir;
use crate::parts;

pub fn run(data: &DataDir, command: Image, environment: &Environment) -> Result<()> {
    data.create()?;
    let images = parts::images(data)?;
    match command {
        Image::Build { source, tag, entrypoint, cmd, environment, user, workdir } => {
            let config = Config {
                entrypoint,
                cmd,
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
        Image::Pull { name } => pull(images, &name, environment)?,
        Image::Ls => list(&images)?,
        Image::Rm { names } => {
            for name in names {
                let removed = images.remove(&name)?;
                let kept =
                    if removed.kept { "; its content stays as long as functions run from it" } else { "" };
                println!("{name} removed, {} freed{kept}", format_bytes(removed.size_bytes));
            }
        }
    }
    Ok(())
}

/// Pulls with what `docker login` has left for the registry, if anything.
fn pull(images: Store, name: &str, environment: &Environment) -> Result<()> {
    let parsed = Name::parse(name)?;
    let file = environment.docker_config.as_ref().map(|dir| dir.join("config.json"));
    let credentials = match file.filter(|file| file.exists()) {
        Some(file) => {
            let text = std::fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let config =
                serde_json::from_slice(&text).with_context(|| format!("{} is not JSON", file.display()))?;
            sandbox::docker_config(&config, parsed.domain(), parsed.path())
        }
        None => Vec::new(),
    };
    let (pulls, images) = (sandbox::Pulls::default(), Arc::new(images));
    let pulled = async { Ok(pulls.pull(&images, name, &credentials, false).await?) };
    let (image, bytes) = crate::in_runtime(pulled)?;
    let what = if bytes == 0 { "up to date".to_owned() } else { format!("{} fetched", format_bytes(bytes)) };
    println!("{name}\n  {} ({what})", image.id);
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
            if image.name.is_empty() { "<none>" } else { &image.name },
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

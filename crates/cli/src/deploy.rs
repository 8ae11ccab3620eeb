//! `dory deploy PATH`: finds out what PATH is, and hands it to the door that knows such things.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::args::Deploy;
use crate::{Platform, function, manifest};

/// What a path turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Files of Kubernetes objects, in the order to apply them.
    Manifests(Vec<PathBuf>),
    /// A directory whose contents are a function's code.
    FunctionDirectory,
    /// One Linux executable, to be the `bootstrap` of a function.
    Executable,
    /// An image that is to be a function.
    Image,
}

pub(crate) async fn run(platform: &Platform, options: &Deploy) -> Result<()> {
    let found = if options.function { Found::Image } else { find(&options.path)? };
    match found {
        Found::Manifests(files) => manifest::deploy(platform, options, &files).await,
        found => function::deploy(platform, options, &found).await,
    }
}

/// Looks at names and first bytes only; says what it expected when it recognises nothing.
pub(crate) fn find(path: &Path) -> Result<Found> {
    let metadata = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
    if metadata.is_file() {
        return find_file(path);
    }
    if function::entry_point(path).is_some() {
        return Ok(Found::FunctionDirectory);
    }
    let mut files: Vec<PathBuf> = fs::read_dir(path)
        .with_context(|| format!("cannot read {}", path.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_file() && is_manifest_name(path))
        .collect();
    files.sort();
    if files.is_empty() {
        bail!(
            "{} holds neither manifests (.yaml, .yml, .json) nor a function (bootstrap, index.js, index.mjs, \
             lambda_function.py, app.py); name the file to deploy",
            path.display()
        );
    }
    files.iter().try_for_each(|file| refuse_templates(file))?;
    Ok(Found::Manifests(files))
}

fn find_file(path: &Path) -> Result<Found> {
    if is_manifest_name(path) {
        refuse_templates(path)?;
        return Ok(Found::Manifests(vec![path.to_owned()]));
    }
    let mut magic = [0; 4];
    let read = fs::File::open(path).and_then(|mut file| file.read_exact(&mut magic));
    if read.is_ok() && magic == *b"\x7fELF" {
        return Ok(Found::Executable);
    }
    bail!("{} is neither a manifest (.yaml, .yml, .json) nor a Linux executable", path.display())
}

fn is_manifest_name(path: &Path) -> bool {
    path.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known))
}

fn refuse_templates(path: &Path) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    if text.contains("AWSTemplateFormatVersion") || text.contains("AWS::Serverless-2016-10-31") {
        bail!(
            "{} is a CloudFormation or SAM template, which is not supported yet; deploy its functions one by one with \
             `dory deploy DIRECTORY`",
            path.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    #[test]
    fn a_path_is_what_it_holds() {
        let manifests = tree(&[("b.yaml", "kind: Pod"), ("a.yml", "kind: Pod"), ("README.md", "")]);
        let found = find(manifests.path()).unwrap();
        assert_eq!(
            found,
            Found::Manifests(vec![manifests.path().join("a.yml"), manifests.path().join("b.yaml")])
        );
        let function = tree(&[("index.js", ""), ("package.json", "{}")]);
        assert_eq!(find(function.path()).unwrap(), Found::FunctionDirectory);
        let binary = tree(&[("server", "\x7fELF\x02")]);
        assert_eq!(find(&binary.path().join("server")).unwrap(), Found::Executable);
    }

    #[test]
    fn what_is_not_supported_is_said() {
        let nothing = tree(&[("notes.txt", "hello")]);
        assert!(find(nothing.path()).unwrap_err().to_string().contains("holds neither manifests"));
        let template = tree(&[("template.yaml", "Transform: AWS::Serverless-2016-10-31")]);
        assert!(find(template.path()).unwrap_err().to_string().contains("not supported yet"));
        assert!(find(Path::new("/nonexistent")).unwrap_err().to_string().contains("cannot read"));
    }
}

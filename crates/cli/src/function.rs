//! `dory deploy` of a function: a zip of its files, created or updated through the AWS endpoint, with a URL.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use client::kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;

use crate::args::Deploy;
use crate::aws_door::{AwsDoor, AwsError};
use crate::deploy::Found;
use crate::{Platform, format_bytes, web_server};

/// Lambda's own limit for code sent in the request.
const ZIP_BYTES_MAX: usize = 50 * 1024 * 1024;
/// A directory this deep is a cycle of links or a mistake.
const DEPTH_MAX: usize = 32;
/// The role is stored and shown; nothing evaluates it yet.
const ROLE: &str = "arn:aws:iam::000000000000:role/dory";

/// How a function directory is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntryPoint {
    runtime: String,
    handler: String,
}

/// What the files of a directory say about how to run them; `None` when they are no function.
pub(crate) fn entry_point(directory: &Path) -> Option<EntryPoint> {
    let known = [
        ("bootstrap", "bootstrap"),
        ("index.js", "index.handler"),
        ("index.mjs", "index.handler"),
        ("index.cjs", "index.handler"),
        ("lambda_function.py", "lambda_function.lambda_handler"),
        ("app.py", "app.lambda_handler"),
    ];
    let (file, handler) = known.iter().find(|(file, _)| directory.join(file).is_file())?;
    let runtime = match file.rsplit_once('.') {
        Some((_, "py")) => python_runtime(),
        Some(_) => node_runtime(),
        None => "provided.al2023".to_owned(),
    };
    Some(EntryPoint { runtime, handler: (*handler).to_owned() })
}

/// The Node.js of this host where Lambda has a runtime of that version, else the current one.
fn node_runtime() -> String {
    let major =
        version_of("node", |text| text.trim().strip_prefix('v')?.split('.').next().map(str::to_owned));
    let major = major.filter(|major| ["20", "22", "24"].contains(&major.as_str()));
    format!("nodejs{}.x", major.as_deref().unwrap_or("22"))
}

fn python_runtime() -> String {
    let minor = version_of("python3", |text| {
        let minor = text.trim().strip_prefix("Python 3.")?.split('.').next()?;
        Some(minor.to_owned())
    });
    let minor = minor.filter(|minor| ["11", "12", "13", "14"].contains(&minor.as_str()));
    format!("python3.{}", minor.as_deref().unwrap_or("13"))
}

fn version_of(program: &str, read: fn(&str) -> Option<String>) -> Option<String> {
    let output = Command::new(program).arg("--version").output().ok()?;
    read(&String::from_utf8_lossy(&output.stdout))
}

pub(crate) async fn deploy(platform: &Platform, options: &Deploy, found: &Found) -> Result<()> {
    let began = Instant::now();
    let package = package(options, found)?;
    let name = function_name(options, found)?;
    let door = AwsDoor::open(platform)?;
    let server = web_server::port(options, found)?;
    let done = create_or_update(&door, &name, options, server, &package).await?;
    let url = ensure_url(&door, &name).await?;
    if !options.routes.is_empty() {
        set_routes(platform, &name, &options.routes).await?;
    }
    let what = match &package {
        Package::Image(uri) => uri.clone(),
        Package::Zip { entry, bytes } => {
            let runtime = options.runtime.as_deref().unwrap_or(&entry.runtime);
            format!("{runtime}, {}", format_bytes(bytes.len() as u64))
        }
    };
    let took = began.elapsed().as_millis();
    let server = server.map(|port| format!(", HTTP server on port {port}")).unwrap_or_default();
    println!("function/{name} {done} in {took} ms ({what}{server})");
    println!("  {url}");
    Ok(())
}

/// What a function is made of.
enum Package {
    Zip { entry: EntryPoint, bytes: Vec<u8> },
    Image(String),
}

impl Package {
    fn code(&self) -> Value {
        match self {
            Package::Zip { bytes, .. } => json!({ "ZipFile": BASE64_STANDARD.encode(bytes) }),
            Package::Image(uri) => json!({ "ImageUri": uri }),
        }
    }
}

fn package(options: &Deploy, found: &Found) -> Result<Package> {
    let (bytes, entry) = match found {
        Found::Image => {
            if options.runtime.is_some() || options.handler.is_some() {
                bail!("an image has its runtime and handler inside: leave --runtime and --handler out");
            }
            let uri = options.path.to_str().context("the name of the image is not UTF-8")?;
            return Ok(Package::Image(uri.to_owned()));
        }
        Found::Executable => (
            zip_executable(&options.path)?,
            EntryPoint { runtime: "provided.al2023".into(), handler: "bootstrap".into() },
        ),
        _ => (zip_directory(&options.path)?, entry_point(&options.path).context("not a function directory")?),
    };
    if bytes.len() > ZIP_BYTES_MAX {
        bail!(
            "the zip of {} is {}; 50 MB is the most",
            options.path.display(),
            format_bytes(bytes.len() as u64)
        );
    }
    Ok(Package::Zip { entry, bytes })
}

fn function_name(options: &Deploy, found: &Found) -> Result<String> {
    if let Some(name) = &options.name {
        return Ok(name.clone());
    }
    if *found == Found::Image {
        let name = options.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let name = name.split(['@', ':']).next().filter(|name| !name.is_empty());
        return name
            .map(str::to_owned)
            .context("the name of the image is no function name; give one with --name");
    }
    let path = fs::canonicalize(&options.path)?;
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    stem.map(str::to_owned).context("the name of PATH is no function name; give one with --name")
}

async fn create_or_update(
    door: &AwsDoor,
    name: &str,
    options: &Deploy,
    server: Option<u16>,
    package: &Package,
) -> Result<&'static str> {
    let mut configuration = configuration(options, server, package)?;
    let mut creation = configuration.clone();
    creation["FunctionName"] = json!(name);
    creation["Role"] = json!(ROLE);
    creation["Code"] = package.code();
    if let Package::Image(_) = package {
        creation["PackageType"] = json!("Image");
    }
    match door.lambda(Method::POST, "/2015-03-31/functions", Some(creation)).await? {
        Ok(_) => return Ok("created"),
        Err(error) if error.status == StatusCode::CONFLICT => {}
        Err(error) => return refused(name, &error),
    }
    let path = format!("/2015-03-31/functions/{name}");
    configuration["Role"] = json!(ROLE);
    for (suffix, body) in [("code", package.code()), ("configuration", configuration)] {
        if let Err(error) = door.lambda(Method::PUT, &format!("{path}/{suffix}"), Some(body)).await? {
            return refused(name, &error);
        }
    }
    Ok("updated")
}

fn refused<T>(name: &str, error: &AwsError) -> Result<T> {
    bail!("function {name} was refused: {} ({})", error.message, error.kind)
}

fn configuration(options: &Deploy, server: Option<u16>, package: &Package) -> Result<Value> {
    let mut configuration = match package {
        Package::Image(_) => json!({}),
        Package::Zip { entry, .. } => json!({
            "Runtime": options.runtime.as_deref().unwrap_or(&entry.runtime),
            "Handler": options.handler.as_deref().unwrap_or(&entry.handler),
        }),
    };
    if let Some(memory) = options.memory {
        configuration["MemorySize"] = json!(memory);
    }
    if let Some(timeout) = options.timeout {
        configuration["Timeout"] = json!(timeout);
    }
    let pairs = options.environment.iter().map(|pair| {
        let (name, value) =
            pair.split_once('=').with_context(|| format!("--env {pair}: write NAME=VALUE"))?;
        Ok((name.to_owned(), json!(value)))
    });
    let mut variables = pairs.collect::<Result<serde_json::Map<_, _>>>()?;
    if let Some(port) = server {
        for name in web_server::PORTS {
            variables.entry(name).or_insert_with(|| json!(port.to_string()));
        }
    }
    if !variables.is_empty() {
        configuration["Environment"] = json!({ "Variables": variables });
    }
    Ok(configuration)
}

async fn ensure_url(door: &AwsDoor, name: &str) -> Result<String> {
    let path = format!("/2021-10-31/functions/{name}/url");
    let created = door.lambda(Method::POST, &path, Some(json!({ "AuthType": "NONE" }))).await?;
    let answer = match created {
        Err(error) if error.status == StatusCode::CONFLICT => door.lambda(Method::GET, &path, None).await?,
        other => other,
    };
    let url = match answer {
        Ok(url) => url,
        Err(error) => return refused(name, &error),
    };
    if url["AuthType"] == "NONE" {
        open_to_everybody(door, name).await?;
    }
    Ok(url["FunctionUrl"].as_str().unwrap_or_default().to_owned())
}

/// A URL without authentication is open when the function's policy says so, in the two statements that AWS asks for.
async fn open_to_everybody(door: &AwsDoor, name: &str) -> Result<()> {
    let path = format!("/2015-03-31/functions/{name}/policy");
    let url = json!({
        "StatementId": "FunctionURLAllowPublicAccess", "Action": "lambda:InvokeFunctionUrl", "Principal": "*",
        "FunctionUrlAuthType": "NONE",
    });
    let invoke = json!({
        "StatementId": "FunctionURLInvokeAllowPublicAccess", "Action": "lambda:InvokeFunction", "Principal": "*",
        "InvokedViaFunctionUrl": true,
    });
    for statement in [url, invoke] {
        match door.lambda(Method::POST, &path, Some(statement)).await? {
            Err(error) if error.status != StatusCode::CONFLICT => return refused(name, &error),
            _ => {}
        }
    }
    Ok(())
}

async fn set_routes(platform: &Platform, name: &str, routes: &[String]) -> Result<()> {
    let kind =
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("dory.dev", "v1", "Function"), "functions");
    let functions: Api<DynamicObject> = Api::namespaced_with(platform.client().await?, "default", &kind);
    let patch = Patch::Merge(json!({ "spec": { "url": { "routes": routes } } }));
    functions
        .patch(name, &PatchParams { field_manager: Some("dory".into()), ..PatchParams::default() }, &patch)
        .await?;
    Ok(())
}

fn zip_executable(path: &Path) -> Result<Vec<u8>> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("bootstrap", SimpleFileOptions::default().unix_permissions(0o755))?;
    zip.write_all(&fs::read(path)?)?;
    Ok(zip.finish()?.into_inner())
}

fn zip_directory(root: &Path) -> Result<Vec<u8>> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let mut pending = vec![(root.to_owned(), 0)];
    let mut files = Vec::new();
    while let Some((directory, depth)) = pending.pop() {
        if depth > DEPTH_MAX {
            bail!("{} is more than {DEPTH_MAX} directories deep", directory.display());
        }
        for entry in
            fs::read_dir(&directory).with_context(|| format!("cannot read {}", directory.display()))?
        {
            let path = entry?.path();
            if path.is_dir() { pending.push((path, depth + 1)) } else { files.push(path) }
        }
    }
    // The same files make the same zip, so that an unchanged deploy keeps its warm instances.
    files.sort();
    for file in files {
        add_file(&mut zip, root, &file)?;
    }
    Ok(zip.finish()?.into_inner())
}

fn add_file(zip: &mut zip::ZipWriter<Cursor<Vec<u8>>>, root: &Path, file: &PathBuf) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let name =
        file.strip_prefix(root)?.to_str().with_context(|| format!("{} is not UTF-8", file.display()))?;
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mode = fs::metadata(file)?.permissions().mode() & 0o777;
    zip.start_file(name, SimpleFileOptions::default().unix_permissions(mode))?;
    zip.write_all(&bytes)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_files_make_the_same_zip() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("lib")).unwrap();
        fs::write(dir.path().join("lib/a.js"), "a").unwrap();
        fs::write(dir.path().join("index.js"), "exports.handler = 1").unwrap();
        assert_eq!(zip_directory(dir.path()).unwrap(), zip_directory(dir.path()).unwrap());
        let zip = zip::ZipArchive::new(Cursor::new(zip_directory(dir.path()).unwrap())).unwrap();
        let names: Vec<_> = zip.file_names().map(Result::unwrap).collect();
        assert_eq!(names, ["index.js", "lib/a.js"]);
        let entry = entry_point(dir.path()).unwrap();
        assert_eq!(entry.handler, "index.handler");
        assert!(entry.runtime.starts_with("nodejs2"), "{}", entry.runtime);
    }
}

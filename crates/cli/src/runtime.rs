//! `dory runtime`: the images that function runtimes run in.

use anyhow::{Result, bail};
use http::Method;
use serde_json::json;

use crate::Platform;
use crate::args::Runtime;
use crate::aws_door::AwsDoor;
use crate::table::Table;

pub(crate) async fn run(platform: &Platform, command: &Runtime) -> Result<()> {
    let door = AwsDoor::open(platform)?;
    let (method, path, body) = match command {
        Runtime::Add { name, image } => {
            (Method::PUT, format!("/_dory/runtimes/{name}"), Some(json!({ "image": image })))
        }
        Runtime::Ls => (Method::GET, "/_dory/runtimes".to_owned(), None),
        Runtime::Rm { name } => (Method::DELETE, format!("/_dory/runtimes/{name}"), None),
    };
    let answer = match door.lambda(method, &path, body).await? {
        Ok(answer) => answer,
        Err(error) => bail!("{}", error.message),
    };
    match command {
        Runtime::Add { name, image } => {
            println!("runtime/{name} runs in {image}\n  {}", answer["digest"].as_str().unwrap_or_default());
        }
        Runtime::Ls => {
            let mut table = Table::new(&["RUNTIME", "IMAGE", "DIGEST"]);
            for (name, given) in answer["runtimes"].as_object().into_iter().flatten() {
                let text = |field: &str| given[field].as_str().unwrap_or_default().to_owned();
                let digest = text("digest").chars().take("sha256:".len() + 12).collect();
                table.row(vec![name.clone(), text("image"), digest]);
            }
            table.print();
        }
        Runtime::Rm { name } => println!("runtime/{name} has no image any more"),
    }
    Ok(())
}

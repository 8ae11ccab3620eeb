//! A change of the code: from sending it to the first answer of the new code.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::door::{Door, zip};
use crate::row;

const CHANGES: usize = 20;
/// The archive's size, of which the executable is a part; a larger executable makes a larger archive.
const ARCHIVE_BYTES: usize = 1_000_000;

pub(super) async fn run(door: &Door, bootstrap: &Path) -> Result<()> {
    let executable = std::fs::read(bootstrap)?;
    let mut took: Vec<Duration> = Vec::new();
    for n in 0..CHANGES {
        // Every archive is another one: what fills it up differs, and there is always some of it. The same code again is
        // no change, and leaves the instances alone.
        let filling = vec![n as u8; ARCHIVE_BYTES.saturating_sub(executable.len()).max(1)];
        let archive = zip(&[("bootstrap", &executable), ("filling", &filling)])?;
        door.invoke("cold-1").await?;
        let began = Instant::now();
        door.update_code("cold-1", &archive).await?;
        let answer = door.invoke_with("cold-1", b"{}").await?.ok()?;
        took.push(began.elapsed());
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        ensure!(text.contains("\"invocation\":1}"), "the old instance answered: {text}");
    }
    row::median_ms("update_code_1mb_to_new_answer", &mut took, 100.0);
    Ok(())
}

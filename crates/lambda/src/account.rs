//! `GetAccountSettings`, and the limit of all code together that it tells.

use crate::Lambda;
use functions::{UNZIPPED_BYTES_MAX, ZIP_BYTES_MAX};
use serde_json::json;
use wire::{Fault, NAMESPACE, Reply, reply};

/// What all archives of functions and layers may take, as on AWS: 75 GiB.
const TOTAL_CODE_BYTES_MAX: u64 = 80_530_636_800;

pub(crate) async fn get_settings(lambda: &Lambda) -> Result<Reply, Fault> {
    let (count, _) = lambda.config.functions.totals(NAMESPACE);
    let (limit, unreserved) = lambda.config.functions.concurrency();
    Ok(reply::json(
        200,
        &json!({
            "AccountLimit": {
                "TotalCodeSize": TOTAL_CODE_BYTES_MAX,
                "CodeSizeUnzipped": UNZIPPED_BYTES_MAX,
                "CodeSizeZipped": ZIP_BYTES_MAX,
                "ConcurrentExecutions": limit,
                "UnreservedConcurrentExecutions": unreserved,
            },
            "AccountUsage": { "TotalCodeSize": total(lambda).await?, "FunctionCount": count },
        }),
    ))
}

/// Refuses code when there is too much of it already.
pub(crate) async fn check_room(lambda: &Lambda) -> Result<(), Fault> {
    room(total(lambda).await?)
}

fn room(total: u64) -> Result<(), Fault> {
    match total < TOTAL_CODE_BYTES_MAX {
        true => Ok(()),
        false => Err(Fault::code_storage(format!(
            "Code storage limit exceeded: all functions and layers together have {total} bytes, and may have \
             {TOTAL_CODE_BYTES_MAX}. Delete versions that are not used any more."
        ))),
    }
}

/// The size of the archives of all functions, versions and layers.
async fn total(lambda: &Lambda) -> Result<u64, Fault> {
    let layers = lambda.layers.list(NAMESPACE).await.map_err(|error| Fault::service(error.to_string()))?;
    let layers = layers.iter().filter_map(|layer| layer["spec"]["code"]["size"].as_u64());
    let (_, functions) = lambda.config.functions.totals(NAMESPACE);
    Ok(functions + layers.sum::<u64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_has_its_limit() {
        assert_eq!(room(TOTAL_CODE_BYTES_MAX - 1), Ok(()));
        assert_eq!(room(TOTAL_CODE_BYTES_MAX).expect_err("full").code, "CodeStorageExceededException");
    }
}

//! `dory env`: shell exports that point kubectl and the aws CLI at this platform.

use anyhow::Result;

use crate::Platform;

pub(crate) fn run(platform: &Platform) -> Result<()> {
    let endpoints = platform.endpoints()?;
    let keys = platform.keys()?;
    let exports = [
        ("KUBECONFIG", platform.kubeconfig().display().to_string()),
        ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", endpoints.aws_port)),
        ("AWS_ACCESS_KEY_ID", keys.access_key_id),
        ("AWS_SECRET_ACCESS_KEY", keys.secret_access_key),
        ("AWS_REGION", endpoints.region.clone()),
        // The aws CLI of version 1 reads only this one.
        ("AWS_DEFAULT_REGION", endpoints.region),
    ];
    for (name, value) in exports {
        println!("export {name}={}", quoted(&value));
    }
    Ok(())
}

/// A word that any POSIX shell reads back as it was.
fn quoted(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-:+=@".contains(c);
    if value.chars().all(plain) { value.to_owned() } else { format!("'{}'", value.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn shells_read_back_what_was_meant() {
        assert_eq!(super::quoted("/var/lib/dory/kubeconfig"), "/var/lib/dory/kubeconfig");
        assert_eq!(super::quoted("/my dir/it's"), r"'/my dir/it'\''s'");
    }
}

//! Whether what `dory deploy` is given is an HTTP server that knows nothing of Lambda: then the function's environment
//! says where it listens, in the words of AWS's Lambda Web Adapter, and the platform speaks for it.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::args::Deploy;
use crate::deploy::Found;

/// What servers and the adapter read.
pub(crate) const PORTS: [&str; 2] = ["AWS_LWA_PORT", "PORT"];

/// Where a server listens that is told so.
const PORT: u16 = 8080;

/// Every client of the Runtime API asks for this variable, and so holds its name.
const RUNTIME_API: &[u8] = b"AWS_LAMBDA_RUNTIME_API";

/// The server's port; nothing for a program that speaks the Runtime API itself.
pub(crate) fn port(options: &Deploy, found: &Found) -> Result<Option<u16>> {
    if options.port.is_some() {
        return Ok(options.port);
    }
    let asked = PORTS.iter().find_map(|name| {
        options.environment.iter().find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
    });
    let Some(program) = program(options, found) else { return Ok(None) };
    let bytes = fs::read(&program).with_context(|| format!("cannot read {}", program.display()))?;
    Ok(is_server(&bytes).then_some(asked.unwrap_or(PORT)))
}

/// The function's own executable.
fn program(options: &Deploy, found: &Found) -> Option<PathBuf> {
    match found {
        Found::Executable => Some(options.path.clone()),
        Found::FunctionDirectory => Some(options.path.join("bootstrap")).filter(|path| path.is_file()),
        Found::Manifests(_) | Found::Image => None,
    }
}

/// Scripts may call programs that speak the Runtime API; machine code that does not name it does not.
fn is_server(program: &[u8]) -> bool {
    program.starts_with(b"\x7fELF") && !program.windows(RUNTIME_API.len()).any(|window| window == RUNTIME_API)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_without_the_runtime_api_are_servers() {
        assert!(is_server(b"\x7fELF....GET / HTTP/1.1"));
        assert!(!is_server(b"\x7fELF....AWS_LAMBDA_RUNTIME_API...."));
        assert!(!is_server(b"#!/bin/sh\nexec node server.js\n"));
    }
}

//! Whether a file is a program that can be the only thing in an image: an ELF for this machine that needs no loader.

use super::oci::host_architecture;

const PT_INTERP: u32 = 3;

/// `Err` says why not, and what to do.
pub(crate) fn check_static(file: &[u8]) -> Result<(), String> {
    if !file.starts_with(b"\x7fELF") {
        return Err("it is not a Linux program: give a static ELF binary, or a directory".into());
    }
    let truncated = || "the program is cut short: build it again".to_owned();
    if file.get(4..6) != Some(&[2, 1]) {
        return Err(format!("it is a program for another machine: build it for {}", host_architecture()));
    }
    let half = |at: usize| Some(u16::from_le_bytes(file.get(at..at.checked_add(2)?)?.try_into().ok()?));
    let architecture = match half(18).ok_or_else(truncated)? {
        62 => "amd64",
        183 => "arm64",
        _ => "another machine",
    };
    if architecture != host_architecture() {
        return Err(format!("it is a program for {architecture}: build it for {}", host_architecture()));
    }
    let table = file.get(32..40).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
    let table = table.and_then(|at| usize::try_from(at).ok()).ok_or_else(truncated)?;
    let (size, count) = (half(54).ok_or_else(truncated)?, half(56).ok_or_else(truncated)?);
    for n in 0..usize::from(count) {
        let at = table.checked_add(n * usize::from(size)).ok_or_else(truncated)?;
        let kind = file.get(at..at.saturating_add(4)).and_then(|bytes| bytes.try_into().ok());
        if kind.map(u32::from_le_bytes).ok_or_else(truncated)? == PT_INTERP {
            return Err("it is dynamically linked, and an image of one file has no libraries: link it statically \
                        (Rust: RUSTFLAGS=-Ctarget-feature=+crt-static, Go: CGO_ENABLED=0), or give a directory that \
                        holds its libraries too"
                .into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_static;

    fn program(machine: u16, segments: &[u32]) -> Vec<u8> {
        let mut file = vec![0; 64];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        file[18..20].copy_from_slice(&machine.to_le_bytes());
        file[32] = 64;
        file[54] = 56;
        file[56] = segments.len() as u8;
        for kind in segments {
            file.extend(kind.to_le_bytes());
            file.extend([0; 52]);
        }
        file
    }

    const HERE: u16 = if cfg!(target_arch = "x86_64") { 62 } else { 183 };

    #[test]
    fn only_static_programs_for_this_machine_pass() {
        assert_eq!(check_static(&program(HERE, &[1, 2])), Ok(()));
        for (file, says) in [
            (program(HERE, &[1, 3, 2]), "link it statically"),
            (program(8, &[1]), "another machine"),
            (b"#!/bin/sh\n".to_vec(), "not a Linux program"),
            (Vec::new(), "not a Linux program"),
            (b"\x7fELF".to_vec(), "another machine"),
            (program(HERE, &[1, 1])[..70].to_vec(), "cut short"),
            (program(HERE, &[1])[..30].to_vec(), "cut short"),
        ] {
            let said = check_static(&file).unwrap_err();
            assert!(said.contains(says), "{said}");
        }
        let mut wild = program(HERE, &[1]);
        wild[32..40].fill(0xff);
        assert!(check_static(&wild).is_err());
    }
}

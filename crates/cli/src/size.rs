//! Byte counts as people read them.

/// `532 B`, `1.4 kB`, `23.0 MB`: decimal units, one decimal above bytes.
pub fn bytes(count: u64) -> String {
    const UNITS: [(&str, f64); 3] = [("GB", 1e9), ("MB", 1e6), ("kB", 1e3)];
    let exact = count as f64;
    let unit = UNITS.iter().find(|(_, size)| exact >= *size);
    unit.map_or_else(|| format!("{count} B"), |(name, size)| format!("{:.1} {name}", exact / size))
}

#[cfg(test)]
mod tests {
    #[test]
    fn units_step_at_thousands() {
        let read = [999, 1000, 23_000_000, 4_200_000_000].map(super::bytes);
        assert_eq!(read, ["999 B", "1.0 kB", "23.0 MB", "4.2 GB"]);
    }
}

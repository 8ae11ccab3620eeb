//! The completion indexes of an Indexed Job, as its status and its success policy write them: `0,2-4,7`. The rules of
//! the kind check such texts, the controller of Jobs counts with them.

use std::collections::BTreeSet;
use std::fmt;

/// A set of indexes, kept as intervals: a Job may have a hundred thousand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Indexes {
    /// First and last of each, in order, with gaps between them.
    intervals: Vec<(u32, u32)>,
}

impl Indexes {
    /// Reads what can be read of a text: what is no number is passed over, and so is what is not below `completions`.
    pub fn read(text: &str, completions: u32) -> Indexes {
        let interval = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
            (first < completions && first <= last).then(|| (first, last.min(completions - 1)))
        };
        Indexes::from_intervals(text.split(',').filter_map(interval).collect())
    }

    /// Reads a text that a person wrote; every index must be below `completions` and above the one before it.
    pub fn check(text: &str, completions: u32) -> Result<Indexes, String> {
        let mut intervals: Vec<(u32, u32)> = Vec::new();
        for part in text.split(',').filter(|_| !text.is_empty()) {
            let (first, last) = check_interval(part, completions)?;
            if let Some((_, before)) = intervals.last().filter(|(_, before)| *before >= first) {
                return Err(format!("non-increasing order, previous: {before}, current: {first}"));
            }
            intervals.push((first, last));
        }
        Ok(Indexes::from_intervals(intervals))
    }

    fn from_intervals(mut parts: Vec<(u32, u32)>) -> Indexes {
        parts.sort_unstable();
        let mut intervals: Vec<(u32, u32)> = Vec::with_capacity(parts.len());
        for (first, last) in parts {
            match intervals.last_mut() {
                Some((_, end)) if first <= end.saturating_add(1) => *end = (*end).max(last),
                _ => intervals.push((first, last)),
            }
        }
        Indexes { intervals }
    }

    /// The indexes of both.
    #[must_use]
    pub fn union(&self, other: &Indexes) -> Indexes {
        Indexes::from_intervals([self.intervals.as_slice(), other.intervals.as_slice()].concat())
    }

    /// How many there are.
    pub fn count(&self) -> u32 {
        self.intervals.iter().map(|(first, last)| last - first + 1).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.intervals.is_empty()
    }

    /// Whether an index is among them.
    pub fn contains(&self, index: u32) -> bool {
        let at = self.intervals.partition_point(|(_, last)| *last < index);
        self.intervals.get(at).is_some_and(|(first, _)| *first <= index)
    }

    /// What both have.
    #[must_use]
    pub fn intersection(&self, other: &Indexes) -> Indexes {
        let (mut ours, mut theirs) = (self.intervals.iter().peekable(), other.intervals.iter().peekable());
        let mut intervals = Vec::new();
        while let (Some(a), Some(b)) = (ours.peek(), theirs.peek()) {
            let (first, last) = (a.0.max(b.0), a.1.min(b.1));
            if first <= last {
                intervals.push((first, last));
            }
            if a.1 <= b.1 {
                ours.next()
            } else {
                theirs.next()
            };
        }
        Indexes { intervals }
    }

    /// The lowest, if there is any.
    pub fn first(&self) -> Option<u32> {
        self.intervals.first().map(|(first, _)| *first)
    }

    /// The lowest indexes below `completions` that are missing, at most so many.
    pub fn missing(&self, completions: u32, count: usize) -> Vec<u32> {
        let mut missing = Vec::new();
        let mut next = 0;
        for (first, last) in &self.intervals {
            missing.extend((next..(*first).min(completions)).take(count - missing.len()));
            next = last.saturating_add(1);
        }
        missing.extend((next..completions).take(count - missing.len()));
        missing
    }
}

impl FromIterator<u32> for Indexes {
    fn from_iter<I: IntoIterator<Item = u32>>(indexes: I) -> Indexes {
        let ordered: BTreeSet<u32> = indexes.into_iter().collect();
        Indexes::from_intervals(ordered.into_iter().map(|index| (index, index)).collect())
    }
}

fn check_interval(part: &str, completions: u32) -> Result<(u32, u32), String> {
    let limits: Vec<&str> = part.split('-').collect();
    if limits.len() > 2 {
        return Err(format!(
            "the fragment {part:?} violates the requirement that an index interval can have at most two parts \
             separated by '-'"
        ));
    }
    let read = |text: &str| {
        let index: u32 =
            text.parse().map_err(|_| format!("cannot convert string to integer for index: {text:?}"))?;
        if index < completions { Ok(index) } else { Err(format!("too large index: {text:?}")) }
    };
    let first = read(limits[0])?;
    let Some(last) = limits.get(1) else { return Ok((first, first)) };
    let last = read(last)?;
    if first >= last {
        return Err(format!("non-increasing order, previous: {first}, current: {last}"));
    }
    Ok((first, last))
}

impl fmt::Display for Indexes {
    /// Two neighbours are written as two: `1,2`, three as an interval: `1-3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (first, last)) in self.intervals.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                1 => write!(f, "{comma}{first},{last}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_written_and_joined() {
        let indexes = Indexes::read("0,2-4,5,x,8-3,9-20", 12);
        assert_eq!((indexes.to_string().as_str(), indexes.count()), ("0,2-5,9-11", 8));
        assert_eq!(Indexes::read("", 3), Indexes::default());
        let more: Indexes = [1, 6, 30, 31, 1].into_iter().collect();
        assert_eq!(indexes.union(&more).to_string(), "0-6,9-11,30,31");
        assert_eq!(indexes.intersection(&Indexes::read("3-9", 12)).to_string(), "3-5,9");
        let inside: Vec<u32> = (0..13).filter(|index| indexes.contains(*index)).collect();
        assert_eq!(inside, [0, 2, 3, 4, 5, 9, 10, 11]);
        assert_eq!(indexes.missing(14, 4), [1, 6, 7, 8]);
        assert_eq!(indexes.missing(14, 9), [1, 6, 7, 8, 12, 13]);
        assert_eq!(indexes.missing(4, 9), [1]);
        assert_eq!((indexes.first(), Indexes::default().first()), (Some(0), None));
    }

    #[test]
    fn texts_that_are_refused() {
        assert_eq!(Indexes::check("0,2-4,7", 8).map(|indexes| indexes.count()), Ok(5));
        assert_eq!(Indexes::check("", 8).map(|indexes| indexes.is_empty()), Ok(true));
        for (text, want) in [
            (
                "1-2-3",
                "the fragment \"1-2-3\" violates the requirement that an index interval can have at most two parts separated by '-'",
            ),
            ("a", "cannot convert string to integer for index: \"a\""),
            ("1-", "cannot convert string to integer for index: \"\""),
            ("8", "too large index: \"8\""),
            ("1-9", "too large index: \"9\""),
            ("3-3", "non-increasing order, previous: 3, current: 3"),
            ("4,4", "non-increasing order, previous: 4, current: 4"),
        ] {
            assert_eq!(Indexes::check(text, 8), Err(want.to_owned()), "{text}");
        }
    }
}

//! Names of pooled networks. A name carries the kind and the number, the number is the address: so what is in use
//! after a restart is read off the pins, without a file that could be stale.

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

/// What a pooled network is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// An address in the lower half of the pods' range.
    Pod,
    /// An address in the upper half.
    Guest,
    /// Loopback only.
    Isolated,
}

impl Kind {
    pub(crate) const ALL: [Kind; 3] = [Kind::Pod, Kind::Guest, Kind::Isolated];

    fn letter(self) -> char {
        match self {
            Kind::Pod => 'p',
            Kind::Guest => 'g',
            Kind::Isolated => 'i',
        }
    }

    /// The numbers of a kind. For pods and guests they are offsets in the pods' range: not the network's own address,
    /// nor the gateway's (1), nor the broadcast address.
    fn numbers(self) -> std::ops::RangeInclusive<u16> {
        match self {
            Kind::Pod => 0x0002..=0x7fff,
            Kind::Guest => 0x8000..=0xfffe,
            Kind::Isolated => 0x0000..=0xffff,
        }
    }
}

/// The name of one pooled network, e.g. `p0002`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Name {
    pub(crate) kind: Kind,
    pub(crate) number: u16,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:04x}", self.kind.letter(), self.number)
    }
}

impl FromStr for Name {
    type Err = ();

    fn from_str(text: &str) -> Result<Name, ()> {
        let kind = Kind::ALL.into_iter().find(|kind| text.starts_with(kind.letter())).ok_or(())?;
        let digits = text.get(1..).filter(|digits| digits.len() == 4).ok_or(())?;
        let number = u16::from_str_radix(digits, 16).map_err(|_| ())?;
        kind.numbers().contains(&number).then_some(Name { kind, number }).ok_or(())
    }
}

/// Hands out numbers in a circle, so that an address rests as long as possible before it is used again: peers,
/// neighbour caches and connection tracking remember the last one who had it.
#[derive(Debug)]
pub(crate) struct Numbers {
    used: HashSet<Name>,
    next: [u16; 3],
}

impl Numbers {
    /// Continues after what is already in use.
    pub(crate) fn after(used: HashSet<Name>) -> Numbers {
        let next = Kind::ALL.map(|kind| {
            let last = used.iter().filter(|name| name.kind == kind).map(|name| name.number).max();
            last.map_or(*kind.numbers().start(), |number| following(kind, number))
        });
        Numbers { used, next }
    }

    /// A free name, in use from now on; none when all are.
    pub(crate) fn take(&mut self, kind: Kind) -> Option<Name> {
        let first = self.next[kind as usize];
        let mut number = first;
        loop {
            let name = Name { kind, number };
            number = following(kind, number);
            if self.used.insert(name) {
                self.next[kind as usize] = number;
                return Some(name);
            }
            if number == first {
                return None;
            }
        }
    }

    /// The name may be used again.
    pub(crate) fn give_back(&mut self, name: Name) {
        self.used.remove(&name);
    }
}

fn following(kind: Kind, number: u16) -> u16 {
    if number == *kind.numbers().end() { *kind.numbers().start() } else { number + 1 }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Name, Numbers};
    use std::collections::HashSet;

    #[test]
    fn names_read_back() {
        for text in ["p0002", "g8000", "i0000", "iffff"] {
            assert_eq!(text.parse::<Name>().map(|name| name.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "p", "p0001", "p8000", "g7fff", "x0002", "p00002", "pé00"] {
            assert_eq!(text.parse::<Name>(), Err(()), "{text}");
        }
    }

    #[test]
    fn a_number_given_back_rests_until_the_circle_closes() {
        let mut numbers = Numbers::after(HashSet::from([Name { kind: Kind::Pod, number: 0x7ffe }]));
        let last = numbers.take(Kind::Pod).unwrap();
        assert_eq!(last.number, 0x7fff);
        numbers.give_back(last);
        assert_eq!(numbers.take(Kind::Pod).unwrap().number, 2);
    }

    #[test]
    fn no_number_is_in_use_twice_and_the_end_is_seen() {
        let mut numbers = Numbers::after(HashSet::new());
        let all: HashSet<Name> = std::iter::from_fn(|| numbers.take(Kind::Guest)).collect();
        assert_eq!(all.len(), 0x7fff);
        numbers.give_back(Name { kind: Kind::Guest, number: 0x9000 });
        assert_eq!(numbers.take(Kind::Guest).map(|name| name.number), Some(0x9000));
    }
}

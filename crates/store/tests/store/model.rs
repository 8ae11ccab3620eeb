//! A store beside the simplest thing that could be one: a list of maps, one per revision. Random transactions,
//! compactions and reads; both must agree on everything that can be asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use store::{Error, Expect, Op, Range, Revision, Store};

/// A small generator with a fixed seed, so that a failure is the same failure again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % sides
    }
}

#[derive(Clone, PartialEq, Debug)]
struct Cell {
    value: Bytes,
    created: Revision,
    modified: Revision,
}

type Map = BTreeMap<String, Cell>;

fn apply(now: &Map, ops: &[Op], revision: Revision) -> Option<Map> {
    let mut map = now.clone();
    for op in ops {
        let (key, expect) = match op {
            Op::Put { key, expect, .. } | Op::Delete { key, expect } => (key.to_string(), *expect),
        };
        let current = map.get(&key);
        match expect {
            Expect::Absent if current.is_some() => return None,
            Expect::Modified(wanted) if current.map(|cell| cell.modified) != Some(wanted) => return None,
            _ => {}
        }
        let created = current.map_or(revision, |cell| cell.created);
        match op {
            Op::Put { value, .. } => {
                map.insert(key, Cell { value: value.clone(), created, modified: revision });
            }
            Op::Delete { .. } => {
                map.remove(&key);
            }
        }
    }
    Some(map)
}

fn random_ops(dice: &mut Dice, now: &Map) -> Vec<Op> {
    let mut ops: BTreeMap<Arc<str>, Op> = BTreeMap::new();
    for _ in 0..=dice.roll(4) {
        let key: Arc<str> = format!("/{}/{}", dice.roll(2), dice.roll(6)).into();
        let modified = now.get(&*key).map_or(0, |cell| cell.modified);
        let expect = match dice.roll(8) {
            0 => Expect::Absent,
            1 => Expect::Modified(dice.roll(20)),
            2 | 3 => Expect::Modified(modified),
            _ => Expect::Any,
        };
        let op = match dice.roll(3) {
            0 => Op::Delete { key: key.clone(), expect },
            _ => Op::Put { key: key.clone(), value: dice.roll(1000).to_string().into(), expect },
        };
        ops.insert(key, op);
    }
    ops.into_values().collect()
}

pub async fn follows_a_naive_model(store: Arc<dyn Store>) {
    let mut dice = Dice(7);
    let mut model: Vec<Map> = vec![Map::new()];
    let mut oldest = 0;
    for _ in 0..1500 {
        let now = model.last().unwrap();
        let next = model.len() as Revision;
        let ops = random_ops(&mut dice, now);
        match (store.commit(ops.clone()).await, apply(now, &ops, next)) {
            (Ok(revision), Some(map)) if revision == next => model.push(map),
            (Ok(revision), Some(map)) => assert_eq!((revision, &map), (next - 1, now), "{ops:?}"),
            (Err(Error::Conflict { .. }), None) => {}
            (result, map) => panic!("{ops:?}: {result:?}, {map:?}"),
        }
        if dice.roll(50) == 0 {
            oldest = oldest.max(dice.roll(model.len() as u64));
            store.compact(oldest).await.unwrap();
        }
        compare(&store, &model, dice.roll(model.len() as u64), oldest, &mut dice).await;
    }
    for at in 0..model.len() as Revision {
        compare(&store, &model, at, oldest, &mut dice).await;
    }
}

async fn compare(store: &Arc<dyn Store>, model: &[Map], at: Revision, oldest: Revision, dice: &mut Dice) {
    let prefix = ["", "/0/", "/1/"][dice.roll(3) as usize];
    let result = store.list(Range { at: Some(at), ..Range::prefix(prefix) }).await;
    if at < oldest {
        assert!(matches!(result, Err(Error::Compacted { oldest: o }) if o == oldest));
        return;
    }
    let entries = result.unwrap().entries.into_iter().map(|entry| {
        (entry.key.to_string(), Cell { value: entry.value, created: entry.created, modified: entry.modified })
    });
    let due = model[at as usize].iter().filter(|(key, _)| key.starts_with(prefix));
    let due: Map = due.map(|(key, cell)| (key.clone(), cell.clone())).collect();
    assert_eq!(entries.collect::<Map>(), due, "at {at}");
}

//! Objects that are well-typed and otherwise nonsense: nothing panics, defaults are stable, reading gives back what was
//! written. The randomness is a fixed sequence, so a failure repeats.

use super::context;
use crate::{Kind, kinds};
use object::apply::{self, Author};
use object::schema::definitions::{Type, definition, table};
use object::table::{Include, row};
use object::{FieldValidation, patch};
use serde_json::{Map, Value, json};

/// A small generator of numbers (an LCG: Knuth's constants), good enough to vary shapes.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % sides
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.roll(of.len())]
    }

    fn value(&mut self, ty: &'static Type, depth: usize) -> Value {
        match ty {
            Type::String => self
                .pick(&["", "a", "b", "Always", "TCP", "http", "a/b", "é", "-", "In", "10.0.0.1", "None"])
                .into(),
            Type::Bool => (self.roll(2) == 0).into(),
            Type::Int32 | Type::Int64 => [0, 1, -1, 80, 70_000, 2_147_483_647][self.roll(6)].into(),
            Type::Double => 0.5.into(),
            Type::Bytes => self.pick(&["", "AA==", "YWJj"]).into(),
            Type::IntOrString if self.roll(2) == 0 => 80.into(),
            Type::IntOrString => self.pick(&["", "25%", "http", "%"]).into(),
            Type::Quantity => self.pick(&["0", "1", "-1", "1500m", "1Gi", "1e3", "16Ei", "0.1n"]).into(),
            Type::Time => "2026-11-21T06:00:00Z".into(),
            Type::MicroTime => "2026-11-21T06:00:00.000001Z".into(),
            Type::Any => json!({"f:spec": {"f:a": {}}}),
            Type::ObjectOrBool(_) => true.into(),
            Type::Object(index) => self.object(table().at(*index).name, depth),
            Type::List(items) => (0..self.roll(3)).map(|_| self.value(items, depth)).collect(),
            Type::Map(values) => (0..self.roll(3))
                .map(|i| (format!("k{i}"), self.value(values, depth)))
                .collect::<Map<_, _>>()
                .into(),
        }
    }

    fn object(&mut self, name: &'static str, depth: usize) -> Value {
        let mut out = Map::new();
        for field in &definition(name).fields {
            let wanted = field.required || self.roll(3) == 0;
            if wanted && depth < 9 && !matches!(field.name, "apiVersion" | "kind" | "managedFields") {
                out.insert(field.name.to_owned(), self.value(&field.ty, depth + 1));
            }
        }
        Value::Object(out)
    }

    fn of_kind(&mut self, kind: &Kind) -> Value {
        let mut object = self.object(kind.schema, 0);
        object["apiVersion"] = kind.api_version.into();
        object["kind"] = kind.kind.into();
        object["metadata"] = json!({"name": "a", "namespace": "default", "labels": {"a": "b"}});
        object
    }
}

#[test]
fn whatever_is_well_typed_is_read_defaulted_judged_and_printed() {
    for kind in kinds() {
        for seed in 0..60 {
            let mut dice = Dice(seed);
            let (first, second) = (dice.of_kind(kind), dice.of_kind(kind));
            let ctx = context(kind);
            let text = first.to_string();
            let read = kind.decode(text.as_bytes(), FieldValidation::Strict).expect("well-typed").object;
            let again = kind.decode(read.to_string().as_bytes(), FieldValidation::Strict).expect("still");
            assert_eq!(again.object, read, "{kind:?} {seed}");
            let mut once = read.clone();
            (kind.default)(&mut once);
            let mut twice = once.clone();
            (kind.default)(&mut twice);
            assert_eq!(once, twice, "{kind:?} {seed}");
            let mut conformed = once.clone();
            let unknown = kind.conform(&mut conformed, FieldValidation::Strict);
            assert_eq!((unknown, &conformed), (Ok(Vec::new()), &once), "{kind:?} {seed}");
            let mut new = second.clone();
            kind.conform(&mut new, FieldValidation::Strict).expect("well-typed");
            for subresource in [None, Some("status"), Some("finalize")] {
                // Refused or not: it must be an answer.
                let _ = kind.admit_update(&mut new.clone(), &once, subresource, &ctx);
            }
            let _ = kind.admit_create(&mut new.clone(), &ctx);
            row(kind, &once, Include::Metadata, ctx.now);
            row(kind, &new, Include::Object, ctx.now);
        }
    }
}

#[test]
fn an_apply_of_anything_holds_and_is_repeatable() {
    let mut applied = 0;
    for kind in kinds() {
        for seed in 0..40 {
            let mut dice = Dice(seed);
            let mut objects = [dice.of_kind(kind), dice.of_kind(kind)];
            for object in &mut objects {
                kind.conform(object, FieldValidation::Strict).expect("well-typed");
            }
            let [live, config] = objects;
            let author = |manager| Author { manager, subresource: None, now: context(kind).now };
            // Entries of a list that have one key are refused.
            let Ok(first) = apply::apply(kind, None, &live, &author("a"), false) else { continue };
            let Ok(second) = apply::apply(kind, Some(&first), &config, &author("b"), true) else { continue };
            applied += 1;
            let third = apply::apply(kind, Some(&second), &config, &author("b"), false).expect("nothing new");
            assert_eq!(second, third, "{kind:?} {seed}");
            let mut tracked = second.clone();
            apply::track(kind, Some(&second), &mut tracked, &author("c"));
            assert_eq!(tracked, second, "{kind:?} {seed}");
            // A merge patch with nothing but what is there changes nothing; nor does a strategic one.
            let spec = json!({"metadata": {"labels": second["metadata"]["labels"]}});
            assert_eq!(patch::strategic(kind, &second, &spec).as_ref(), Ok(&second), "{kind:?} {seed}");
        }
    }
    assert!(applied > 300, "most of what is made up can be applied: {applied}");
}

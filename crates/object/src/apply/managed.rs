//! `metadata.managedFields`: reading, writing, ordering, and keeping it short.

use super::Author;
use super::fields::Fields;
use crate::Kind;
use crate::json::{put, text};
use crate::time;
use serde_json::{Map, Value, json};

/// More Update entries than this are folded together, the oldest first, so that an object that many clients touch
/// does not grow without end.
const UPDATE_ENTRIES_MAX: usize = 10;
/// Who holds the folded entries.
const ANCIENT: &str = "ancient-changes";

/// One manager's fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) manager: String,
    /// `Apply`, else `Update`.
    pub(super) applied: bool,
    pub(super) api_version: String,
    pub(super) subresource: String,
    pub(super) time: String,
    state: State,
}

/// Most entries of an object are only carried along: they are read when somebody looks into them.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Written(Value),
    Read(Fields),
}

impl Entry {
    pub(super) fn new(kind: &Kind, author: &Author<'_>, applied: bool) -> Entry {
        Entry {
            manager: author.manager.to_owned(),
            applied,
            api_version: kind.api_version.to_owned(),
            subresource: author.subresource.unwrap_or_default().to_owned(),
            time: time::seconds(author.now),
            state: State::Read(Fields::default()),
        }
    }

    /// The fields, to look at or change.
    pub(super) fn fields(&mut self) -> &mut Fields {
        if let State::Written(json) = &self.state {
            self.state = State::Read(Fields::parse(json));
        }
        match &mut self.state {
            State::Read(fields) => fields,
            State::Written(_) => unreachable!("it was just read"),
        }
    }

    /// Whether the entry may hold any of these fields; only the first step is compared.
    pub(super) fn may_hold(&self, fields: &Fields) -> bool {
        match &self.state {
            State::Written(json) => fields.below.keys().any(|step| json.get(step).is_some()),
            State::Read(mine) => fields.below.keys().any(|step| mine.below.contains_key(step)),
        }
    }

    fn is_empty(&self) -> bool {
        match &self.state {
            State::Written(json) => json.as_object().is_none_or(Map::is_empty),
            State::Read(fields) => fields.is_empty(),
        }
    }

    pub(super) fn same_manager(&self, other: &Entry) -> bool {
        self.manager == other.manager
            && self.applied == other.applied
            && self.api_version == other.api_version
            && self.subresource == other.subresource
    }

    /// The manager in the words of a conflict.
    pub(super) fn shown(&self) -> String {
        let mut out = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            out = format!("{out} with subresource {:?}", self.subresource);
        }
        if self.applied { out } else { format!("{out} using {}", self.api_version) }
    }

    fn into_json(self) -> Value {
        let fields = match self.state {
            State::Written(json) => json,
            State::Read(fields) => fields.into_json(),
        };
        let mut out = json!({
            "manager": self.manager,
            "operation": if self.applied { "Apply" } else { "Update" },
            "apiVersion": self.api_version,
            "fieldsType": "FieldsV1",
            "fieldsV1": fields,
        });
        if !self.time.is_empty() {
            out["time"] = self.time.into();
        }
        if !self.subresource.is_empty() {
            out["subresource"] = self.subresource.into();
        }
        out
    }
}

/// Reads the entries of an object; `None` when there are none or they cannot be read.
pub(super) fn read(object: &Value) -> Option<Vec<Entry>> {
    let list = object["metadata"]["managedFields"].as_array().filter(|l| !l.is_empty())?;
    list.iter().cloned().map(read_entry).collect()
}

/// Takes the entries out of an object likewise.
pub(super) fn take(object: &mut Value) -> Option<Vec<Entry>> {
    let list = object.get_mut("metadata")?.as_object_mut()?.remove("managedFields")?;
    let Value::Array(list) = list else { return None };
    let entries: Option<Vec<Entry>> = list.into_iter().map(read_entry).collect();
    entries.filter(|e| !e.is_empty())
}

fn read_entry(mut entry: Value) -> Option<Entry> {
    let applied = match text(&entry["operation"]) {
        "Apply" => true,
        "Update" => false,
        _ => return None,
    };
    Some(Entry {
        manager: text(&entry["manager"]).to_owned(),
        applied,
        api_version: text(&entry["apiVersion"]).to_owned(),
        subresource: text(&entry["subresource"]).to_owned(),
        time: text(&entry["time"]).to_owned(),
        state: State::Written(entry.get_mut("fieldsV1").map(Value::take).unwrap_or_default()),
    })
}

/// Whether the writer asks for all entries to be dropped: one empty entry. (An empty list does not: clients that know
/// nothing of managed fields send that.)
pub(super) fn is_reset(object: &Value) -> bool {
    matches!(object["metadata"]["managedFields"].as_array().map(Vec::as_slice), Some([Value::Object(one)]) if one.is_empty())
}

/// Writes the entries, ordered and capped.
pub(super) fn write(object: &mut Value, mut entries: Vec<Entry>) {
    entries.retain(|e| !e.is_empty());
    cap(&mut entries);
    let order = |e: &Entry| (!e.applied, e.time.clone(), e.manager.clone(), e.subresource.clone());
    entries.sort_by_cached_key(order);
    let list: Vec<Value> = entries.into_iter().map(Entry::into_json).collect();
    let value = (!list.is_empty()).then_some(Value::Array(list));
    if let Some(meta) = object.get_mut("metadata") {
        put(meta, "managedFields", value);
    }
}

fn cap(entries: &mut Vec<Entry>) {
    let updates = entries.iter().filter(|e| !e.applied).count();
    if updates <= UPDATE_ENTRIES_MAX {
        return;
    }
    entries.sort_by(|a, b| (a.applied, &a.time, &a.manager).cmp(&(b.applied, &b.time, &b.manager)));
    // One more than the surplus: the folded entries become one.
    let folded: Vec<Entry> = entries.drain(..=updates - UPDATE_ENTRIES_MAX).collect();
    for mut entry in folded {
        let bucket = entries.iter_mut().find(|e| e.manager == ANCIENT && e.api_version == entry.api_version);
        match bucket {
            Some(bucket) => {
                bucket.fields().add(entry.fields());
                bucket.time = entry.time;
            }
            None => {
                let (manager, subresource) = (ANCIENT.to_owned(), String::new());
                entries.push(Entry { manager, subresource, ..entry });
            }
        }
    }
}

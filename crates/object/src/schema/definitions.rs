//! The schema table in memory: definitions, fields and types, read once from the checked-in text.
//!
//! All names borrow from the text, so the parsed form is a few hundred kilobytes. A malformed table is a defect of
//! the repository, found by the tests, and so panics.

use super::node::Node;
use std::collections::HashMap;
use std::sync::OnceLock;

const TEXTS: [&str; 2] = [include_str!("kubernetes.schema"), include_str!("dory.schema")];

/// What a value may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// text
    String,
    /// `true` or `false`
    Bool,
    /// a whole number of 32 bits
    Int32,
    /// a whole number of 64 bits
    Int64,
    /// any number
    Double,
    /// base64 text
    Bytes,
    /// a whole number, or text
    IntOrString,
    /// such as `100m` or `1Gi`
    Quantity,
    /// RFC 3339, in whole seconds
    Time,
    /// RFC 3339, in microseconds
    MicroTime,
    /// anything, kept as it is
    Any,
    /// index into the table
    Object(u16),
    /// index into the table, or a truth in its place
    ObjectOrBool(u16),
    /// a list of these
    List(Box<Type>),
    /// a map of these by name
    Map(Box<Type>),
}

/// How a list is merged by server-side apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topology {
    /// Replaced as a whole; also what an unmarked list is.
    Atomic,
    /// Each value is its own key.
    Set,
    /// Comma-separated key fields.
    Map(&'static str),
}

/// A field of a definition.
#[derive(Debug, Clone)]
pub struct Field {
    /// As the document has it.
    pub name: &'static str,
    /// What it may be.
    pub ty: Type,
    /// Whether it must be there.
    pub required: bool,
    /// `None` when the table does not say.
    pub list: Option<Topology>,
    /// A map that is replaced as a whole.
    pub atomic_map: bool,
    /// Of strategic merge patches; empty when the table does not say.
    pub patch_strategy: &'static str,
    /// The field that tells items apart in strategic merge patches.
    pub merge_key: &'static str,
    /// JSON text.
    pub default: Option<&'static str>,
}

/// What an object, or a part of one, may hold.
#[derive(Debug)]
pub struct Definition {
    /// As the document has it.
    pub name: &'static str,
    /// Replaced as a whole.
    pub atomic: bool,
    /// `group/version/kind`
    pub kinds: Vec<&'static str>,
    /// Sorted by name.
    pub fields: Vec<Field>,
    /// What the other fields may be, where that is said at run time.
    pub(crate) rest: Option<Box<Node>>,
}

impl Definition {
    /// The field of that name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.binary_search_by(|f| f.name.cmp(name)).ok().map(|i| &self.fields[i])
    }

    /// The Go type name: the last part of the definition's.
    pub fn short(&self) -> &'static str {
        self.name.rsplit('.').next().unwrap_or(self.name)
    }
}

/// All definitions.
pub struct Table {
    definitions: Vec<Definition>,
    index: HashMap<&'static str, u16>,
}

impl Table {
    /// The definition of that name.
    pub fn get(&'static self, name: &str) -> Option<&'static Definition> {
        self.index.get(name).map(|i| &self.definitions[usize::from(*i)])
    }

    /// The definition that a type points to.
    pub fn at(&'static self, index: u16) -> &'static Definition {
        &self.definitions[usize::from(index)]
    }
}

/// The table; the first call parses it (well under a millisecond).
pub fn table() -> &'static Table {
    static TABLE: OnceLock<Table> = OnceLock::new();
    TABLE.get_or_init(parse)
}

/// The definition of a name that is known to be in the table.
pub fn definition(name: &'static str) -> &'static Definition {
    table().get(name).expect("the kinds name definitions of the table; a test walks them all")
}

fn parse() -> Table {
    let lines = || TEXTS.iter().flat_map(|t| t.lines()).filter(|l| !l.starts_with('#'));
    let mut index = HashMap::new();
    for (i, name) in lines().filter_map(|l| l.strip_prefix("def ")).enumerate() {
        let name = name.split(' ').next().unwrap_or(name);
        index.insert(name, u16::try_from(i).expect("a few hundred definitions"));
    }
    let mut definitions: Vec<Definition> = Vec::with_capacity(index.len());
    for line in lines() {
        if let Some(head) = line.strip_prefix("def ") {
            definitions.push(parse_head(head));
        } else if let Some(name) = line.trim_start().strip_prefix("...@") {
            // The fields of an earlier definition, as Go embeds a struct.
            let i = usize::from(*index.get(name).unwrap_or_else(|| panic!("the schema table lacks {name}")));
            let embedded = definitions[i].fields.clone();
            definitions.last_mut().expect("a definition was begun").fields.extend(embedded);
        } else if let Some(last) = definitions.last_mut() {
            last.fields.push(parse_field(line.trim_start(), &index));
        }
    }
    for definition in &mut definitions {
        definition.fields.sort_by_key(|f| f.name);
        definition.fields.shrink_to_fit();
    }
    Table { definitions, index }
}

fn parse_head(head: &'static str) -> Definition {
    let mut words = head.split(' ');
    let name = words.next().unwrap_or_default();
    let mut definition =
        Definition { name, atomic: false, kinds: Vec::new(), fields: Vec::new(), rest: None };
    for word in words {
        match word.split_once('=') {
            Some(("gvk", kind)) => definition.kinds.push(kind),
            _ => definition.atomic = word == "atomic",
        }
    }
    definition
}

fn parse_field(line: &'static str, index: &HashMap<&'static str, u16>) -> Field {
    let mut words = line.split(' ');
    let name = words.next().unwrap_or_default();
    let ty = parse_type(words.next().unwrap_or_default(), index);
    let mut field = Field {
        name: name.trim_end_matches('!'),
        required: name.ends_with('!'),
        atomic_map: false,
        list: None,
        patch_strategy: "",
        merge_key: "",
        default: None,
        ty,
    };
    for word in words {
        match word.split_once('=').unwrap_or((word, "")) {
            ("atomic", _) if matches!(field.ty, Type::List(_)) => field.list = Some(Topology::Atomic),
            ("atomic", _) => field.atomic_map = true,
            ("set", _) => field.list = Some(Topology::Set),
            ("map", keys) => field.list = Some(Topology::Map(keys)),
            ("patch", strategy) => field.patch_strategy = strategy,
            ("merge", key) => field.merge_key = key,
            ("default", json) => field.default = Some(json),
            (other, _) => panic!("the schema table has an unknown word: {other}"),
        }
    }
    field
}

fn parse_type(text: &str, index: &HashMap<&'static str, u16>) -> Type {
    if let Some(name) = text.strip_prefix("@?") {
        return Type::ObjectOrBool(
            *index.get(name).unwrap_or_else(|| panic!("the schema table lacks {name}")),
        );
    }
    if let Some(name) = text.strip_prefix('@') {
        return Type::Object(*index.get(name).unwrap_or_else(|| panic!("the schema table lacks {name}")));
    }
    if let Some(items) = text.strip_prefix("[]") {
        return Type::List(Box::new(parse_type(items, index)));
    }
    if let Some(values) = text.strip_prefix("{}") {
        return Type::Map(Box::new(parse_type(values, index)));
    }
    match text {
        "string" => Type::String,
        "bool" => Type::Bool,
        "int32" => Type::Int32,
        "int64" => Type::Int64,
        "double" => Type::Double,
        "bytes" => Type::Bytes,
        "int-or-string" => Type::IntOrString,
        "quantity" => Type::Quantity,
        "time" => Type::Time,
        "microtime" => Type::MicroTime,
        "any" => Type::Any,
        other => panic!("the schema table has an unknown type: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merge_facts_are_read() {
        let container = definition("io.k8s.api.core.v1.Container");
        let ports = container.field("ports").expect("containers have ports");
        assert_eq!(ports.list, Some(Topology::Map("containerPort,protocol")));
        assert_eq!((ports.patch_strategy, ports.merge_key), ("merge", "containerPort"));
        let protocol = definition("io.k8s.api.core.v1.ContainerPort").field("protocol");
        assert_eq!(protocol.and_then(|f| f.default), Some("\"TCP\""));
    }
}

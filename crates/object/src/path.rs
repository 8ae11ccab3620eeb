//! The way to a field, kept as a list on the stack and made into text only when there is something to say about it.

use std::fmt;

/// A place in an object.
#[derive(Debug, Clone, Copy)]
pub enum Path<'a> {
    /// The object itself.
    Root,
    /// `.name`
    Field(&'a Path<'a>, &'a str),
    /// `[3]`
    Index(&'a Path<'a>, usize),
    /// `[key]`: an entry of a map whose keys are data.
    Key(&'a Path<'a>, &'a str),
}

impl<'a> Path<'a> {
    /// A field of it.
    pub fn field(&'a self, name: &'a str) -> Path<'a> {
        Path::Field(self, name)
    }

    /// An item of it.
    pub fn index(&'a self, index: usize) -> Path<'a> {
        Path::Index(self, index)
    }

    /// An entry of it.
    pub fn key(&'a self, key: &'a str) -> Path<'a> {
        Path::Key(self, key)
    }

    /// The path without list indexes, as messages of Go's own JSON reader have it.
    pub fn without_indexes(&self) -> String {
        match self {
            Path::Root => String::new(),
            Path::Field(Path::Root, name) => (*name).to_owned(),
            Path::Field(parent, name) | Path::Key(parent, name) => {
                format!("{}.{name}", parent.without_indexes())
            }
            Path::Index(parent, _) => parent.without_indexes(),
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Path::Root => Ok(()),
            Path::Field(Path::Root, name) => f.write_str(name),
            Path::Field(parent, name) => write!(f, "{parent}.{name}"),
            Path::Index(parent, index) => write!(f, "{parent}[{index}]"),
            Path::Key(parent, key) => write!(f, "{parent}[{key}]"),
        }
    }
}

//! What a configuration file says, as a tree: nothing here knows what a key means.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use time::OffsetDateTime;

/// Where something stands in a file.
///
/// Lines count from one. Columns are those that nats-server prints: bytes from zero in the first line, from one in all
/// others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The file as it was named on the command line or by `include`.
    pub file: Arc<str>,
    /// Line, from one.
    pub line: u32,
    /// Column in bytes.
    pub column: u32,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A value and where it stands: at its key in a map, at itself in an array.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What stands there.
    pub value: Value,
    /// Where.
    pub position: Position,
    /// A `$NAME` further on took it: then it may be a key that nobody knows.
    pub is_variable: bool,
}

impl Node {
    pub(super) fn new(value: Value, position: Position) -> Self {
        Self {
            value,
            position,
            is_variable: false,
        }
    }

    /// How many values this is, the ones inside included.
    pub(super) fn len(&self) -> usize {
        let inside: usize = match &self.value {
            Value::Array(items) => items.iter().map(Self::len).sum(),
            Value::Map(map) => map.iter().map(|(_, node)| node.len()).sum(),
            _ => 0,
        };
        inside + 1
    }
}

/// A value of the grammar.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `true`, `yes`, `on` and their opposites.
    Bool(bool),
    /// A whole number, its size suffix reckoned in.
    Integer(i64),
    /// `1.5`.
    Float(f64),
    /// Everything that is nothing else, and whatever is quoted.
    String(String),
    /// `2006-01-02T15:04:05Z`.
    Date(OffsetDateTime),
    /// `[ … ]`.
    Array(Vec<Node>),
    /// `{ … }`.
    Map(Map),
}

impl Value {
    /// What kind of value it is, for a person who put the wrong one.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Bool(_) => "a boolean",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a number with a fraction",
            Self::String(_) => "a string",
            Self::Date(_) => "a date",
            Self::Array(_) => "an array",
            Self::Map(_) => "a map",
        }
    }
}

/// Keys and their values; of two equal keys the last one counts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Map {
    entries: BTreeMap<String, Node>,
}

impl Map {
    /// Every key with its value, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.entries.iter().map(|(key, node)| (key.as_str(), node))
    }

    /// The value of a key, spelled exactly so.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries.get(key)
    }

    /// Whether there is no key at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn set(&mut self, key: String, node: Node) {
        self.entries.insert(key, node);
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.entries.get_mut(key)
    }

    pub(super) fn absorb(&mut self, other: Self) {
        self.entries.extend(other.entries);
    }
}

//! From text to tree: pairs, maps, arrays, `include` and variables.

use std::path::Path;
use std::sync::Arc;

use super::cursor::{Cursor, is_line_end};
use super::error::ConfigError;
use super::limits::{BYTES_MAX, INCLUDE_DEPTH_MAX, NESTING_MAX, VALUES_MAX};
use super::scalar::{Scalar, classify};
use super::surroundings::Surroundings;
use super::text;
use super::value::{Map, Node, Position, Value};

/// What all files of one configuration share: the machine, and what is left of the caps.
pub(super) struct Reading<'a> {
    surroundings: &'a dyn Surroundings,
    values: usize,
    bytes: usize,
    include_depth: usize,
    /// Variables of the environment that are being read, from the outermost.
    open_variables: Vec<String>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(surroundings: &'a dyn Surroundings) -> Self {
        Self {
            surroundings,
            values: 0,
            bytes: 0,
            include_depth: 0,
            open_variables: Vec::new(),
        }
    }

    /// Reads one file's text.
    pub(super) fn document(&mut self, file: &str, text: &str) -> Result<Map, ConfigError> {
        self.bytes = self.bytes.saturating_add(text.len());
        if self.bytes > BYTES_MAX {
            return Err(ConfigError::whole(format!(
                "{file}: the configuration is larger than {BYTES_MAX} bytes"
            )));
        }
        let mut parser = Parser {
            cursor: Cursor::new(Arc::from(file), text),
            scopes: vec![Map::default()],
            nesting: 0,
            reading: self,
        };
        parser.document()?;
        Ok(parser.scopes.pop().unwrap_or_default())
    }

    fn count(&mut self, values: usize, position: &Position) -> Result<(), ConfigError> {
        self.values = self.values.saturating_add(values);
        if self.values > VALUES_MAX {
            let reason = format!("the configuration has more than {VALUES_MAX} values");
            return Err(ConfigError::at(position, reason));
        }
        Ok(())
    }
}

/// Reads one text.
struct Parser<'t, 'r, 'a> {
    cursor: Cursor<'t>,
    /// Maps that are open, the document first: where variables are looked for.
    scopes: Vec<Map>,
    nesting: usize,
    reading: &'r mut Reading<'a>,
}

/// Which map a pair stands in; it decides how a pair may end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Document,
    Map,
}

impl Parser<'_, '_, '_> {
    fn document(&mut self) -> Result<(), ConfigError> {
        // Braces around the whole are allowed, and a stray one at the end does not matter.
        self.cursor.skip_space_and_comments();
        if self.cursor.peek() == Some('{') {
            self.cursor.advance();
        }
        loop {
            self.cursor.skip_space_and_comments();
            match self.cursor.peek() {
                None => return Ok(()),
                Some('}') => {
                    self.cursor.advance();
                }
                Some(_) => self.pair(Place::Document)?,
            }
        }
    }

    fn map(&mut self) -> Result<Map, ConfigError> {
        self.cursor.advance();
        self.enter()?;
        self.scopes.push(Map::default());
        loop {
            self.cursor.skip_space_and_comments();
            match self.cursor.peek() {
                None => return Err(self.cursor.error("Unexpected EOF processing map.")),
                Some('}') => {
                    self.cursor.advance();
                    break;
                }
                Some(_) => self.pair(Place::Map)?,
            }
        }
        self.nesting -= 1;
        Ok(self.scopes.pop().unwrap_or_default())
    }

    fn array(&mut self) -> Result<Vec<Node>, ConfigError> {
        self.cursor.advance();
        self.enter()?;
        let mut items = Vec::new();
        loop {
            self.cursor.skip_space_and_comments();
            match self.cursor.peek() {
                None => return Err(self.cursor.error("Unexpected EOF processing array.")),
                Some(']') => {
                    self.cursor.advance();
                    break;
                }
                Some(',') => {
                    return Err(self.cursor.error("Unexpected array value terminator ','."));
                }
                Some(_) => {
                    let position = self.cursor.position();
                    let value = self.value(&position)?;
                    self.reading.count(1, &position)?;
                    items.push(Node::new(value, position));
                    self.array_value_end()?;
                }
            }
        }
        self.nesting -= 1;
        Ok(items)
    }

    fn enter(&mut self) -> Result<(), ConfigError> {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            let reason = format!("Maps and arrays are nested deeper than {NESTING_MAX}");
            return Err(self.cursor.error(reason));
        }
        Ok(())
    }

    /// `key value`, `key: value`, `key = value` or `include path`.
    fn pair(&mut self, place: Place) -> Result<(), ConfigError> {
        let position = self.cursor.position();
        let key = match self.cursor.peek() {
            Some(separator @ (':' | '=')) => {
                let reason = format!("Unexpected key separator '{separator}'");
                return Err(self.cursor.error(reason));
            }
            Some('"') => text::escaped(&mut self.cursor)?,
            Some('\'') => text::raw(&mut self.cursor)?,
            _ => {
                let key = self
                    .cursor
                    .take_while(|c| !c.is_whitespace() && !matches!(c, ':' | '='));
                let is_word = self.cursor.peek().is_some_and(char::is_whitespace);
                if is_word && key.eq_ignore_ascii_case("include") {
                    self.include(&position)?;
                    return self.pair_end(place);
                }
                key.to_owned()
            }
        };
        self.separator(place)?;
        let value = self.value(&position)?;
        self.reading.count(1, &position)?;
        if let Some(scope) = self.scopes.last_mut() {
            scope.set(key, Node::new(value, position));
        }
        self.pair_end(place)
    }

    /// Between key and value. After `:` or `=` the value has to stand in the same line.
    fn separator(&mut self, place: Place) -> Result<(), ConfigError> {
        self.cursor.take_while(char::is_whitespace);
        match self.cursor.peek() {
            Some(':' | '=') => {
                self.cursor.advance();
                self.cursor.skip_blanks();
                match self.cursor.peek() {
                    Some(c) if is_line_end(c) => {
                        Err(self.cursor.error("Expected value but found new line"))
                    }
                    _ => Ok(()),
                }
            }
            None if place == Place::Document => {
                let position = self.cursor.position();
                Err(ConfigError::whole(format!(
                    "config is invalid ({position})"
                )))
            }
            None => Err(self.cursor.error("Unexpected EOF processing map key.")),
            Some(_) => Ok(()),
        }
    }

    fn value(&mut self, position: &Position) -> Result<Value, ConfigError> {
        Ok(match self.cursor.peek() {
            Some('{') => Value::Map(self.map()?),
            Some('[') => Value::Array(self.array()?),
            Some('"') => Value::String(text::escaped(&mut self.cursor)?),
            Some('\'') => Value::String(text::raw(&mut self.cursor)?),
            Some('(') => Value::String(text::block(&mut self.cursor)?),
            Some(end @ (',' | ';' | '}' | ']')) => {
                let reason = format!("Unexpected map value terminator \"{end}\".");
                return Err(self.cursor.error(reason));
            }
            _ => self.word(position)?,
        })
    }

    fn word(&mut self, position: &Position) -> Result<Value, ConfigError> {
        let line = self.cursor.line();
        let (word, has_escape) = text::bare(&mut self.cursor)?;
        if has_escape {
            return Ok(Value::String(word));
        }
        match classify(&word) {
            Scalar::Value(value) => Ok(value),
            Scalar::Variable(name) => self.variable(name, line, position),
            Scalar::OutOfRange => Err(ConfigError::at(
                position,
                format!("integer '{word}' is out of the range"),
            )),
        }
    }

    /// A key of an enclosing map, from inner to outer, else the environment.
    fn variable(&mut self, name: &str, line: u32, at: &Position) -> Result<Value, ConfigError> {
        let known = self
            .scopes
            .iter_mut()
            .rev()
            .find_map(|scope| scope.get_mut(name));
        if let Some(node) = known {
            node.is_variable = true;
            // The values inside are there twice from now on.
            self.reading.count(node.len() - 1, at)?;
            return Ok(node.value.clone());
        }
        self.reading.environment(name, at)?.ok_or_else(|| {
            let reason = format!("variable reference for '{name}' on line {line} can not be found");
            ConfigError::at(at, reason)
        })
    }

    fn include(&mut self, position: &Position) -> Result<(), ConfigError> {
        self.cursor.skip_blanks();
        let path = match self.cursor.peek() {
            Some('"') => text::escaped(&mut self.cursor)?,
            Some('\'') => text::raw(&mut self.cursor)?,
            _ => text::bare(&mut self.cursor)?.0,
        };
        if path.is_empty() {
            return Err(self
                .cursor
                .error("Expected the path of a file after 'include'"));
        }
        let file = self.cursor.file().clone();
        let included = self.reading.include(&file, &path, position)?;
        if let Some(scope) = self.scopes.last_mut() {
            scope.absorb(included);
        }
        Ok(())
    }

    fn pair_end(&mut self, place: Place) -> Result<(), ConfigError> {
        self.cursor.skip_blanks();
        match self.cursor.peek() {
            Some(',' | ';') => {
                self.cursor.advance();
                Ok(())
            }
            None | Some('}') => Ok(()),
            Some(c) if is_line_end(c) || self.cursor.is_at_comment() => Ok(()),
            Some(_) => {
                let found = self.cursor.found();
                Err(self.cursor.error(match place {
                    Place::Document => format!(
                        "Expected a top-level value to end with a new line, comment or EOF, but got {found} instead."
                    ),
                    Place::Map => format!(
                        "Expected a map value terminator \",\" or a map terminator \"}}\", but got {found} instead."
                    ),
                }))
            }
        }
    }

    fn array_value_end(&mut self) -> Result<(), ConfigError> {
        self.cursor.skip_blanks();
        match self.cursor.peek() {
            Some(',') => {
                self.cursor.advance();
                Ok(())
            }
            None | Some(']') => Ok(()),
            Some(c) if is_line_end(c) || self.cursor.is_at_comment() => Ok(()),
            Some(_) => {
                let found = self.cursor.found();
                Err(self.cursor.error(format_args!(
                    "Expected an array value terminator \",\" or an array terminator \"]\", but got {found} instead."
                )))
            }
        }
    }
}

impl Reading<'_> {
    /// Reads a file beside the one that names it.
    fn include(&mut self, from: &str, path: &str, at: &Position) -> Result<Map, ConfigError> {
        let failed = |reason: String| {
            ConfigError::at(at, format!("error parsing include file '{path}', {reason}"))
        };
        if self.include_depth == INCLUDE_DEPTH_MAX {
            return Err(failed(format!(
                "more than {INCLUDE_DEPTH_MAX} files include one another"
            )));
        }
        let beside = Path::new(from).parent().unwrap_or(Path::new(""));
        // An absolute path is taken below the directory too, as nats-server does, unless only the other one is there.
        let below = beside.join(path.trim_start_matches('/'));
        let (found, text) = match self.surroundings.read(&below) {
            Err(_) if path.starts_with('/') => {
                (path.into(), self.surroundings.read(Path::new(path)))
            }
            read => (below, read),
        };
        let text = text.map_err(|error| {
            let reason = match error.kind() {
                std::io::ErrorKind::NotFound => "no such file or directory".to_owned(),
                _ => error.to_string(),
            };
            failed(format!("open {}: {reason}", found.display()))
        })?;
        self.include_depth += 1;
        let map = self.document(&found.to_string_lossy(), &text);
        self.include_depth -= 1;
        map
    }

    /// A variable of the environment; its text is read as a value is in the file.
    fn environment(&mut self, name: &str, at: &Position) -> Result<Option<Value>, ConfigError> {
        if self.open_variables.iter().any(|open| open == name) {
            let reason = format!("variable reference cycle for '{name}'");
            return Err(ConfigError::at(at, reason));
        }
        let Some(text) = self.surroundings.variable(name) else {
            return Ok(None);
        };
        self.bytes = self.bytes.saturating_add(text.len());
        self.open_variables.push(name.to_owned());
        let file = Arc::from(format!("${name}"));
        let mut parser = Parser {
            cursor: Cursor::new(file, &text),
            scopes: Vec::new(),
            nesting: self.open_variables.len(),
            reading: self,
        };
        parser.enter()?;
        parser.cursor.skip_blanks();
        let value = parser.value(at);
        self.open_variables.pop();
        value.map(Some)
    }
}

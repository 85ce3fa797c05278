//! Settings from several places, one over the other, each remembering where it came from.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;

use super::Config;
use super::keys::{ENV_OTHERS, ENV_PREFIX, KEYS, Key, Kind};
use crate::trouble::Trouble;

/// Where a value was found, as a person would look for it.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    File { path: PathBuf, line: usize },
    Env(String),
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}, line {line}", path.display()),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// Values that were set, lowest layer first.
#[derive(Debug, Default)]
pub(crate) struct Layers {
    values: Vec<(&'static Key, toml::Value, Origin)>,
}

impl Layers {
    /// Adds what a configuration file sets.
    ///
    /// # Errors
    ///
    /// The file is not TOML, or has a key that does not exist: the message has the line and the nearest right name.
    pub(crate) fn add_file(&mut self, path: &std::path::Path, text: &str) -> Result<(), Trouble> {
        let not_toml = |error: toml::de::Error| {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            let origin = Origin::File {
                path: path.to_owned(),
                line,
            };
            Trouble::config(
                format!("{origin}: {}.", error.message().trim_end_matches('.')),
                "Correct that line; packaging/natterjack.toml shows every key and how it is written.",
            )
        };
        let spans = toml::de::DeTable::parse(text).map_err(not_toml)?;
        let values: toml::Table = toml::from_str(text).map_err(not_toml)?;
        let origin = |at: usize| Origin::File {
            path: path.to_owned(),
            line: line_of(text, at),
        };
        for (name, value) in spans.get_ref() {
            let sections = KEYS.iter().filter_map(|key| key.path.split_once('.'));
            let is_section = sections
                .clone()
                .any(|(section, _)| section == name.get_ref());
            match value.get_ref().as_table().filter(|_| is_section) {
                Some(section) => {
                    for (inner, _) in section {
                        let at = format!("{}.{}", name.get_ref(), inner.get_ref());
                        let value = &values[name.get_ref().as_ref()][inner.get_ref().as_ref()];
                        self.add(&at, value.clone(), origin(inner.span().start))?;
                    }
                }
                None if is_section => {
                    return Err(Trouble::config(
                        format!(
                            "{}: {} is a section.",
                            origin(name.span().start),
                            name.get_ref()
                        ),
                        format!(
                            "Write [{}] on a line of its own and its keys below.",
                            name.get_ref()
                        ),
                    ));
                }
                None => self.add(
                    name.get_ref(),
                    values[name.get_ref().as_ref()].clone(),
                    origin(name.span().start),
                )?,
            }
        }
        Ok(())
    }

    /// Adds what the environment sets: every variable that begins with `NATTERJACK_`.
    pub(crate) fn add_env(
        &mut self,
        vars: impl Iterator<Item = (String, String)>,
    ) -> Result<(), Trouble> {
        let mut vars: Vec<_> = vars
            .filter(|(name, _)| name.starts_with(ENV_PREFIX))
            .collect();
        vars.sort_unstable();
        for (name, text) in vars {
            if ENV_OTHERS.iter().any(|other| name.starts_with(other)) {
                continue;
            }
            let Some(key) = KEYS.iter().find(|key| key.env() == name) else {
                let names: Vec<String> = KEYS.iter().map(Key::env).collect();
                return Err(unknown(
                    &format!("Environment variable {name} is not a setting."),
                    &name,
                    &names,
                ));
            };
            let value = value_from_text(key, &text, &Origin::Env(name.clone()))?;
            self.values.push((key, value, Origin::Env(name)));
        }
        Ok(())
    }

    /// Adds what a flag sets.
    ///
    /// # Panics
    ///
    /// When `path` is not a key, which a test would have shown.
    pub(crate) fn add_flag(
        &mut self,
        flag: &'static str,
        path: &str,
        text: &str,
    ) -> Result<(), Trouble> {
        let key = KEYS
            .iter()
            .find(|key| key.path == path)
            .expect("flags name keys that exist");
        let value = value_from_text(key, text, &Origin::Flag(flag))?;
        self.values.push((key, value, Origin::Flag(flag)));
        Ok(())
    }

    /// Puts all of `other` on top.
    pub(crate) fn extend(&mut self, other: &Self) {
        self.values.extend(other.values.iter().cloned());
    }

    /// Whether any layer sets `path`.
    pub(crate) fn sets(&self, path: &str) -> bool {
        self.values.iter().any(|(key, ..)| key.path == path)
    }

    fn add(&mut self, path: &str, value: toml::Value, origin: Origin) -> Result<(), Trouble> {
        let Some(key) = KEYS.iter().find(|key| key.path == path) else {
            let names: Vec<String> = KEYS.iter().map(|key| key.path.to_owned()).collect();
            return Err(unknown(
                &format!("{origin}: there is no key {path}."),
                path,
                &names,
            ));
        };
        self.values.push((key, value, origin));
        Ok(())
    }

    /// Makes the configuration: later layers win.
    ///
    /// # Errors
    ///
    /// A value that its key does not take. Values that are overruled are checked as well, so that a wrong file is found
    /// on the day it is written.
    pub(crate) fn into_config(self) -> Result<Config, Trouble> {
        let mut merged = toml::Table::new();
        for (key, value, origin) in self.values {
            let mut alone = toml::Table::new();
            set(&mut alone, key.path, value.clone());
            Config::deserialize(alone).map_err(|error| {
                let why = error.message().trim_end_matches(['.', '\n']).to_owned();
                Trouble::config(
                    format!("{origin}: {} can not be {value}: {why}.", key.path),
                    format!(
                        "{}.",
                        key.about
                            .lines()
                            .next()
                            .unwrap_or_default()
                            .trim_end_matches('.')
                    ),
                )
            })?;
            set(&mut merged, key.path, value);
        }
        Ok(Config::deserialize(merged)
            .expect("each value was taken alone, and none depends on another"))
    }
}

fn set(table: &mut toml::Table, path: &str, value: toml::Value) {
    match path.split_once('.') {
        Some((section, name)) => {
            let section = table
                .entry(section)
                .or_insert_with(|| toml::Table::new().into());
            section
                .as_table_mut()
                .expect("sections are tables")
                .insert(name.to_owned(), value);
        }
        None => {
            table.insert(path.to_owned(), value);
        }
    }
}

fn value_from_text(key: &Key, text: &str, origin: &Origin) -> Result<toml::Value, Trouble> {
    match key.kind {
        Kind::Text => Ok(text.into()),
        Kind::List => {
            let items = text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty());
            Ok(items.map(toml::Value::from).collect::<Vec<_>>().into())
        }
        Kind::Count => text
            .trim()
            .parse::<i64>()
            .map(toml::Value::from)
            .map_err(|_| not_of_kind(key, text, origin, "a whole number")),
        Kind::Switch => text
            .trim()
            .parse::<bool>()
            .map(toml::Value::from)
            .map_err(|_| not_of_kind(key, text, origin, "true or false")),
    }
}

fn not_of_kind(key: &Key, text: &str, origin: &Origin, kind: &str) -> Trouble {
    Trouble::config(
        format!(
            "{origin}: {} can not be \"{text}\": it is not {kind}.",
            key.path
        ),
        format!("{}.", key.about.trim_end_matches('.')),
    )
}

/// Says that a name is unknown, with the nearest right one where one is near.
fn unknown(what: &str, given: &str, names: &[String]) -> Trouble {
    // Reversed, because of equals `max_by` takes the last, and the first keys are those that everybody meets.
    let candidates = names.iter().rev().map(|name| (likeness(given, name), name));
    let nearest = candidates.max_by(|a, b| a.0.total_cmp(&b.0));
    let remedy = match nearest {
        Some((likeness, name)) if likeness >= NEAR => format!("Did you mean {name}?"),
        _ => "packaging/natterjack.toml and `natterjack config` show every key.".to_owned(),
    };
    Trouble::config(what, remedy)
}

/// From here on two names look alike. Found by trying the usual slips: a letter, a plural, a forgotten section.
const NEAR: f64 = 0.6;

/// 0 for nothing in common, 1 for equal. A key without its section counts as the key: `listen` is near `http.listen`.
fn likeness(given: &str, name: &str) -> f64 {
    let last = name.rsplit('.').next().unwrap_or(name);
    let given_last = given.rsplit('.').next().unwrap_or(given);
    let whole = strsim::normalized_levenshtein(given, name);
    whole.max(strsim::normalized_levenshtein(given_last, last) - 0.05)
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
        + 1
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn from_file(text: &str) -> Result<Config, Trouble> {
        let mut layers = Layers::default();
        layers.add_file(Path::new("n.toml"), text)?;
        layers.into_config()
    }

    fn from_env(vars: &[(&str, &str)]) -> Result<Config, Trouble> {
        let mut layers = Layers::default();
        layers.add_env(
            vars.iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        )?;
        layers.into_config()
    }

    #[track_caller]
    fn check_refused(result: Result<Config, Trouble>, what: &str, remedy: &str) {
        let trouble = result.unwrap_err();
        assert!(trouble.what.contains(what), "{trouble}");
        assert!(trouble.remedy.contains(remedy), "{trouble}");
    }

    #[test]
    fn unknown_key_is_named_with_line_and_nearest() {
        check_refused(
            from_file("log = \"info\"\n[http]\nlisten_on = \"1\"\n"),
            "n.toml, line 3: there is no key http.listen_on",
            "http.listen",
        );
        check_refused(
            from_file("[htpp]\nlisten = \"1\"\n"),
            "line 1: there is no key htpp",
            "every key",
        );
        check_refused(
            from_file("listen = \"1\"\n"),
            "line 1: there is no key listen",
            "http.listen",
        );
        check_refused(
            from_file("\n[nats]\nmax_payload = \"1MiB\""),
            "line 3: there is no key nats.max_payload",
            "",
        );
        check_refused(
            from_env(&[("NATTERJACK_HTTP__LISTN", "x")]),
            "NATTERJACK_HTTP__LISTN",
            "NATTERJACK_HTTP__LISTEN?",
        );
    }

    #[test]
    fn wrong_value_is_named_with_its_place() {
        check_refused(
            from_file("[http]\n\nlisten = \"localhost\"\n"),
            "n.toml, line 3: http.listen can not be \"localhost\"",
            "Address and port",
        );
        check_refused(
            from_file("[nats]\nping_interval = 5\n"),
            "line 2: nats.ping_interval can not be 5",
            "",
        );
        check_refused(from_file("nats = 5\n"), "nats is a section", "[nats]");
        check_refused(from_file("log = \n"), "n.toml, line 1", "");
        check_refused(
            from_env(&[("NATTERJACK_NATS__CONNECTIONS_MAX", "many")]),
            "NATTERJACK_NATS__CONNECTIONS_MAX",
            "",
        );
        check_refused(
            from_env(&[("NATTERJACK_NATS__CONNECTIONS_MAX", "-1")]),
            "can not be -1",
            "",
        );
    }

    #[test]
    fn later_layers_win() {
        let mut layers = Layers::default();
        layers
            .add_file(
                Path::new("n.toml"),
                "[http]\nlisten = \"127.0.0.1:1\"\n[nats]\nlisten = \"127.0.0.1:2\"\n",
            )
            .unwrap();
        layers
            .add_env(
                [(
                    "NATTERJACK_NATS__LISTEN".to_owned(),
                    "127.0.0.1:3".to_owned(),
                )]
                .into_iter(),
            )
            .unwrap();
        layers
            .add_flag("--nats-listen", "nats.listen", "127.0.0.1:4")
            .unwrap();
        let config = layers.into_config().unwrap();
        assert_eq!(config.http.listen.port(), 1);
        assert_eq!(config.nats.listen.port(), 4);
        assert_eq!(config.nats.payload_max, crate::config::Size(1 << 20));
    }

    #[test]
    fn every_key_is_an_environment_variable() {
        let defaults = toml::Table::try_from(Config::default()).unwrap();
        for key in &KEYS {
            let value = match key.path.split_once('.') {
                Some((section, name)) => defaults[section].get(name),
                None => defaults.get(key.path),
            };
            let text = match value {
                Some(toml::Value::String(text)) => text.clone(),
                Some(toml::Value::Array(items)) => items
                    .iter()
                    .filter_map(|item| item.as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
                Some(other) => other.to_string(),
                None => continue,
            };
            assert_eq!(
                from_env(&[(&key.env(), &text)]).unwrap(),
                Config::default(),
                "{}",
                key.path
            );
        }
    }
}

//! The default configuration file: every key, commented out, with its default and what it does.

use std::fmt::Write;

use super::Config;
use super::keys::{KEYS, Key, Kind, SECTIONS};

const OPENING: &str = "\
# natterjack's configuration. Everything here is optional; what is commented out shows the default.
# natterjack reads this file from --config, else from natterjack.toml in the data directory.
# Each key is also an environment variable, and wins over this file: http.listen is NATTERJACK_HTTP__LISTEN.
# Flags win over both. Durations are written 30s, 15m, 1h30m or 7d; sizes 4096B, 512KiB or 64MiB.
";

/// Writes the default file. `packaging/natterjack.toml` is exactly this.
pub(crate) fn document() -> String {
    let defaults = toml::Table::try_from(Config::default()).expect("the defaults are plain values");
    let mut text = OPENING.to_owned();
    for key in KEYS.iter().filter(|key| !key.path.contains('.')) {
        entry(&mut text, key, &defaults);
    }
    for (section, about) in SECTIONS {
        let _ = write!(text, "\n# {about}\n[{section}]\n");
        let inside = |key: &&Key| {
            key.path
                .split_once('.')
                .is_some_and(|(first, _)| first == section)
        };
        for key in KEYS.iter().filter(inside) {
            entry(&mut text, key, &defaults);
        }
    }
    text
}

fn entry(text: &mut String, key: &Key, defaults: &toml::Table) {
    let name = key.path.rsplit('.').next().unwrap_or(key.path);
    let value = match key.example {
        Some(example) => match key.kind {
            Kind::Count => toml::Value::from(example.parse::<i64>().expect("a test reads it back")),
            _ => toml::Value::from(example),
        },
        None => default_of(key, defaults),
    };
    text.push('\n');
    for line in key.about.lines() {
        let _ = writeln!(text, "# {line}");
    }
    let _ = writeln!(text, "#{name} = {value}");
}

fn default_of(key: &Key, defaults: &toml::Table) -> toml::Value {
    let found = match key.path.split_once('.') {
        Some((section, name)) => defaults.get(section).and_then(|section| section.get(name)),
        None => defaults.get(key.path),
    };
    found
        .cloned()
        .expect("a test checks that every key has a default or an example")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::Sync;

    /// Paths of all values of a table, two levels deep.
    fn paths(table: &toml::Table) -> BTreeSet<String> {
        let mut paths = BTreeSet::new();
        for (name, value) in table {
            match value.as_table() {
                Some(section) => paths.extend(section.keys().map(|key| format!("{name}.{key}"))),
                None => {
                    paths.insert(name.clone());
                }
            }
        }
        paths
    }

    #[test]
    fn keys_and_structs_agree() {
        let defaults = toml::Table::try_from(Config::default()).unwrap();
        let with_default = paths(&defaults);
        let listed: BTreeSet<String> = KEYS.iter().map(|key| key.path.to_owned()).collect();
        assert!(
            with_default.is_subset(&listed),
            "missing in KEYS: {:?}",
            with_default.difference(&listed)
        );
        for key in KEYS.iter().filter(|key| !with_default.contains(key.path)) {
            assert!(
                key.example.is_some(),
                "{} has neither a default nor an example",
                key.path
            );
        }
    }

    #[test]
    fn document_with_comments_removed_is_the_default() {
        let text = document();
        let entries = text.lines().map(|line| match line.strip_prefix('#') {
            Some(entry) if !entry.starts_with(' ') => entry,
            _ => line,
        });
        let text: String = entries.map(|line| format!("{line}\n")).collect();
        let mut config: Config = toml::from_str(&text).unwrap();
        assert!(config.data_dir.take().is_some());
        assert!(config.http.public_url.take().is_some());
        // Everything in this section that has no default has an example.
        let streams = std::mem::take(&mut config.streams);
        assert!(streams.domain.is_some() && streams.pull_batch_max.is_some());
        assert_eq!((streams.sync, streams.strict), (Sync::Always, true));
        assert_eq!(config, Config::default());
    }

    #[test]
    fn shipped_file_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/natterjack.toml");
        if std::env::var_os("NATTERJACK_UPDATE_EXPECTED").is_some() {
            std::fs::write(path, document()).unwrap();
        }
        let shipped = std::fs::read_to_string(path).unwrap();
        assert_eq!(
            shipped,
            document(),
            "run `NATTERJACK_UPDATE_EXPECTED=1 cargo test -p natterjack shipped_file`"
        );
    }
}

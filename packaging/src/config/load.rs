//! Finds the configuration file and the data directory, and puts all layers together.

use std::path::{Path, PathBuf};

use super::Config;
use super::layers::Layers;
use crate::cli::{Common, ServeFlags};
use crate::purpose::Purpose;
use crate::trouble::{Exit, Trouble};

/// The name of the configuration file inside a data directory.
const FILE_NAME: &str = "natterjack.toml";

/// A configuration and where things are.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) config: Config,
    pub(crate) data_dir: PathBuf,
}

/// Reads file, environment and flags.
///
/// The data directory is decided first (flag, environment, file named by `--config`, default), because the file is
/// looked for in it when `--config` names none.
///
/// # Errors
///
/// A file that can not be read, an unknown key, a value that its key does not take.
pub(crate) fn load(
    common: &Common,
    serve: &ServeFlags,
    purpose: Purpose,
) -> Result<Loaded, Trouble> {
    let mut above = Layers::default();
    above.add_env(text_vars())?;
    add_flags(&mut above, common, serve)?;
    // The layers above the file, alone, only to learn the data directory.
    let mut first = Layers::default();
    if let Some(path) = &common.config {
        first.add_file(path, &read(path)?)?;
    }
    first.extend(&above);
    let asked = first.into_config()?.data_dir;
    let data_dir = match asked {
        Some(dir) => dir,
        None => default_data_dir(purpose)?,
    };
    let data_dir =
        std::path::absolute(&data_dir).map_err(|error| Trouble::io("find", &data_dir, &error))?;

    let mut layers = Layers::default();
    match &common.config {
        Some(path) => layers.add_file(path, &read(path)?)?,
        None => add_own_file(&mut layers, &data_dir)?,
    }
    layers.extend(&above);
    let config = layers.into_config()?;
    Ok(Loaded { config, data_dir })
}

/// Adds `natterjack.toml` of the data directory, if there is one.
fn add_own_file(layers: &mut Layers, data_dir: &Path) -> Result<(), Trouble> {
    let path = data_dir.join(FILE_NAME);
    if !path.try_exists().unwrap_or(true) {
        return Ok(());
    }
    let mut own = Layers::default();
    own.add_file(&path, &read(&path)?)?;
    if own.sets("data_dir") {
        return Err(Trouble::config(
            format!(
                "{} sets data_dir, but it was found by looking in the data directory.",
                path.display()
            ),
            "Remove data_dir from it, or name the file with --config.",
        ));
    }
    layers.extend(&own);
    Ok(())
}

fn add_flags(layers: &mut Layers, common: &Common, serve: &ServeFlags) -> Result<(), Trouble> {
    if let Some(dir) = &common.data_dir {
        layers.add_flag("--data-dir", "data_dir", &utf8(dir)?)?;
    }
    let flags = [
        ("--log", "log", &common.log),
        ("--http-listen", "http.listen", &serve.http_listen),
        ("--nats-listen", "nats.listen", &serve.nats_listen),
        ("--public-url", "http.public_url", &serve.public_url),
    ];
    for (flag, path, value) in flags {
        if let Some(value) = value {
            layers.add_flag(flag, path, value)?;
        }
    }
    Ok(())
}

/// The environment, without what is not UTF-8: our names and values are text.
fn text_vars() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

fn read(path: &Path) -> Result<String, Trouble> {
    std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Trouble::new(
            Exit::NoInput,
            format!("There is no configuration file {}.", path.display()),
            "Check the path given with --config, or leave it out to start with the defaults.",
        ),
        std::io::ErrorKind::InvalidData => Trouble::config(
            format!("{} is not a text file.", path.display()),
            "Configuration is TOML in UTF-8.",
        ),
        _ => Trouble::io("read", path, &error),
    })
}

fn utf8(path: &Path) -> Result<String, Trouble> {
    path.to_str().map(str::to_owned).ok_or_else(|| {
        Trouble::usage(
            format!("The path {} is not UTF-8.", path.display()),
            "Choose a data directory with a plain name.",
        )
    })
}

/// Where a newcomer's data goes. Each purpose has a directory of its own, so that trying the demo never stands in the way
/// of the real thing.
fn default_data_dir(purpose: Purpose) -> Result<PathBuf, Trouble> {
    let name = purpose.directory();
    if is_root() {
        return Ok(Path::new("/var/lib").join(name));
    }
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    if let Some(dir) = absolute("XDG_DATA_HOME") {
        return Ok(dir.join(name));
    }
    match absolute("HOME") {
        Some(home) => Ok(home.join(".local/share").join(name)),
        None => Err(Trouble::usage(
            "There is no home directory to keep data in: HOME is not set.",
            "Say where data goes with --data-dir.",
        )),
    }
}

/// Whether this process runs as root. Where there is no `/proc` the answer is no, and data goes to the home directory.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

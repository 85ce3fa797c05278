//! `natterjack doctor`: looks every stream file through.
//!
//! It holds the data directory while it works, so no natterjack can run there meanwhile. Without `--repair` nothing is
//! written.

use std::path::{Path, PathBuf};

use storage::stream::{Checked, StoreOptions, check_file, stream_files};
use storage::{DataDir, Error};

use crate::cli::{Common, DoctorFlags, ServeFlags};
use crate::config::Loaded;
use crate::explain::explain;
use crate::output::say;
use crate::purpose::Purpose;
use crate::trouble::{Exit, Trouble};
use crate::{config, logging, wiring};

/// What became of one file.
struct Patient {
    path: PathBuf,
    outcome: Result<Checked, Error>,
}

/// Checks every stream file and says what was found.
pub(crate) fn run(common: &Common, flags: &DoctorFlags) -> Result<(), Trouble> {
    let loaded = config::load(common, &ServeFlags::default(), Purpose::Workspace)?;
    // What is wrong is said in the report.
    logging::start(common.log.as_deref().unwrap_or("error"))?;
    let Loaded { config, data_dir } = loaded;
    let Some(purpose) = Purpose::of(&data_dir)? else {
        return Err(Trouble::usage(
            format!("{} holds nothing of natterjack.", data_dir.display()),
            "Name the data directory with --data-dir; its path is in the third line that natterjack prints at its start.",
        ));
    };
    let explained = |error: Error| explain(&error.into());
    let data_dir = DataDir::open(&data_dir).map_err(explained)?;
    let options = wiring::stream_options(&config, purpose).map_err(explained)?;
    let patients = quietly(|| examine(&data_dir, &options, flags.repair)).map_err(explained)?;
    say(&if flags.json {
        as_json(&patients)
    } else {
        as_text(&patients, data_dir.path())
    });
    verdict(&patients, flags.repair)
}

fn examine(
    data_dir: &DataDir,
    options: &StoreOptions,
    repair: bool,
) -> Result<Vec<Patient>, Error> {
    let mut patients = Vec::new();
    for dir in data_dir.stream_dirs()? {
        for path in stream_files(&dir)? {
            let outcome = check_file(&path, options, repair);
            patients.push(Patient { path, outcome });
        }
    }
    Ok(patients)
}

/// The database library panics on some damaged pages, which storage catches and reports; what it says while it does is for
/// the log.
fn quietly<T>(work: impl FnOnce() -> T) -> T {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(|panic| tracing::debug!("{panic}")));
    let done = work();
    std::panic::set_hook(usual);
    done
}

/// A file is damaged when something is wrong with it that was not put right.
fn verdict(patients: &[Patient], repaired: bool) -> Result<(), Trouble> {
    let is_ill = |patient: &&Patient| !patient.outcome.as_ref().is_ok_and(Checked::is_whole);
    let ill = patients.iter().filter(is_ill).count();
    if ill == 0 {
        return Ok(());
    }
    let what = if ill == 1 {
        "One stream file is not whole.".to_owned()
    } else {
        format!("{ill} stream files are not whole.")
    };
    let advice = if repaired {
        "Keep a copy of it, and restore it from a backup: what is left can not be put right without losing something."
    } else {
        "Copy the data directory, then run `natterjack doctor --repair`: it changes only what loses nothing."
    };
    Err(Trouble::new(Exit::Data, what, advice))
}

fn as_text(patients: &[Patient], data_dir: &Path) -> String {
    let mut lines = Vec::with_capacity(patients.len() + 1);
    for patient in patients {
        lines.push(match &patient.outcome {
            Ok(checked) => checked.to_string(),
            Err(error) => format!("{}: can not be opened: {error}", patient.path.display()),
        });
    }
    lines.push(match patients.len() {
        1 => format!("1 stream file checked in {}", data_dir.display()),
        count => format!("{count} stream files checked in {}", data_dir.display()),
    });
    lines.join("\n")
}

fn as_json(patients: &[Patient]) -> String {
    let rows: Vec<serde_json::Value> = patients.iter().map(row).collect();
    serde_json::to_string_pretty(&rows).expect("rows are plain data")
}

fn row(patient: &Patient) -> serde_json::Value {
    let file = patient.path.display().to_string();
    let checked = match &patient.outcome {
        Ok(checked) => checked,
        Err(error) => {
            return serde_json::json!({ "file": file, "whole": false, "error": error.to_string() });
        }
    };
    let problems: Vec<serde_json::Value> = checked
        .problems
        .iter()
        .map(|problem| {
            serde_json::json!({
                "what": problem.what,
                "sequences": problem.sequences.map(|(first, last)| [first.0, last.0]),
                "repaired": problem.repaired,
            })
        })
        .collect();
    serde_json::json!({
        "file": file,
        "stream": checked.name,
        "whole": checked.is_whole(),
        "messages": checked.messages,
        "bytes": checked.bytes,
        "fileBytes": checked.file_bytes,
        "first": checked.first.0,
        "last": checked.last.0,
        "deleted": checked.deleted,
        "consumers": checked.consumers,
        "problems": problems,
    })
}

//! Looking a stream file through: what a doctor tells.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::Error;

use super::disk::Disk;
use super::store::ENDING;
use super::{Sequence, StoreOptions};

/// What was found in one stream file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Checked {
    /// Name of the stream; empty when it can not be read.
    pub name: String,
    /// Messages that can be read.
    pub messages: u64,
    /// Their bytes, as limits count them.
    pub bytes: u64,
    /// Size of the file.
    pub file_bytes: u64,
    /// First message.
    pub first: Sequence,
    /// Last sequence ever given out.
    pub last: Sequence,
    /// Sequences between the first and the last that hold no message any more.
    pub deleted: u64,
    /// Consumers and cursors.
    pub consumers: u64,
    /// What is wrong, in the order it was found. Empty: the file is whole.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong with a stream file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// One sentence, lower case.
    pub what: String,
    /// The sequences it is about, first and last.
    pub sequences: Option<(Sequence, Sequence)>,
    /// Whether it is put right now. What is not, stays as it is.
    pub repaired: bool,
}

impl Checked {
    /// Whether nothing is wrong any more.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.problems.iter().all(|problem| problem.repaired)
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "stream {}: {} messages, sequences {} to {}, {} deleted between, {} consumers, {} bytes of messages in a file of {} bytes",
            self.name,
            self.messages,
            self.first,
            self.last,
            self.deleted,
            self.consumers,
            self.bytes,
            self.file_bytes,
        )?;
        for problem in &self.problems {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.repaired {
            "repaired: "
        } else {
            "found: "
        })?;
        f.write_str(&self.what)?;
        match self.sequences {
            Some((first, last)) if first == last => write!(f, " (sequence {first})"),
            Some((first, last)) => write!(f, " (sequences {first} to {last})"),
            None => Ok(()),
        }
    }
}

/// Looks a stream file through, which nobody else may have open. Blocks for as long as it takes to
/// read the file.
///
/// Checked are: every page and reference of the database; every row; that each message the index
/// names is there, with the length it should have; what was deleted against what is there; the
/// totals of the last commit; the index of subjects; that consumers stand within the stream; and
/// message ids that occur twice within the duplicate window.
///
/// With `repair` what can be put right without losing anything is: a file that was not closed, the
/// database's own book-keeping, rows that belong to nothing. Totals that differ are set to what is
/// there, so that the stream opens again; that is reported like everything else. Without it
/// nothing is written at all.
///
/// # Errors
/// [`Error`] when the file can not be opened at all, such as for want of its key.
pub fn check_file(path: &Path, options: &StoreOptions, repair: bool) -> Result<Checked, Error> {
    let disk_options = options.disk_options();
    let (disk, condition) = if repair {
        Disk::open_to_repair(path, disk_options)?
    } else {
        Disk::open_frozen(path, disk_options)?
    };
    let mut checked = Checked {
        file_bytes: disk.file_bytes(),
        ..Checked::default()
    };
    let mut problem = |what: String| {
        checked.problems.push(Problem {
            what,
            sequences: None,
            repaired: repair,
        });
    };
    if condition.open {
        problem("it was not closed: the last commit was found and made whole".to_owned());
    }
    if let Some(damage) = condition.damage {
        problem(format!("{damage}: the commits from there on are lost"));
    }
    disk.check(options.clock.now(), repair, &mut checked)?;
    disk.close();
    Ok(checked)
}

/// The stream files in the directory of an account, sorted by name.
///
/// # Errors
/// [`Error`] when the directory can not be read.
pub fn stream_files(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let options = StoreOptions::default();
    let listed = options.disk_options().files.list(dir);
    let mut files = listed.map_err(|source| crate::data_dir::io_error(dir, source))?;
    files.retain(|path| path.extension().is_some_and(|ending| ending == ENDING));
    Ok(files)
}

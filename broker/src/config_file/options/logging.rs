//! What is logged, how and where.

use std::path::PathBuf;

use super::report::{Pair, Report, set};

/// The log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogOptions {
    /// What helps to find mistakes is logged as well.
    pub debug: bool,
    /// Every line of the protocol is logged, without secrets.
    pub trace: bool,
    /// The system account's lines too.
    pub trace_verbose: bool,
    /// Only headers of messages are shown in traces, not payloads.
    pub trace_headers: bool,
    /// Each line begins with the time.
    pub time: bool,
    /// The time is UTC, not the machine's own.
    pub utc: bool,
    /// Lines go to this file and not to standard error.
    pub file: Option<PathBuf>,
    /// The file is put aside and begun anew when it has grown to so many bytes. `None`: never.
    pub file_bytes_max: Option<u64>,
    /// So many files are kept, the one in use included. `None`: all of them.
    pub files_max: Option<usize>,
    /// Lines go to the system's log.
    pub syslog: bool,
    /// Lines go to the system's log there, such as `udp://host:514`.
    pub remote_syslog: Option<String>,
    /// Payloads in traces are cut to so many bytes. `None`: they are not.
    pub traced_bytes_max: Option<usize>,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            debug: false,
            trace: false,
            trace_verbose: false,
            trace_headers: false,
            time: true,
            utc: false,
            file: None,
            file_bytes_max: None,
            files_max: None,
            syslog: false,
            remote_syslog: None,
            traced_bytes_max: None,
        }
    }
}

impl LogOptions {
    /// Takes one key of the top level, if it is one of these.
    pub(super) fn take(&mut self, name: &str, pair: Pair<'_>, report: &mut Report) -> bool {
        match name {
            "debug" => set(&mut self.debug, pair.boolean(report)),
            "trace" => set(&mut self.trace, pair.boolean(report)),
            "trace_verbose" => {
                set(&mut self.trace_verbose, pair.boolean(report));
                self.trace |= self.trace_verbose;
                true
            }
            "trace_headers" => set(&mut self.trace_headers, pair.boolean(report)),
            "logtime" => set(&mut self.time, pair.boolean(report)),
            "logtime_utc" => set(&mut self.utc, pair.boolean(report)),
            "logfile" | "log_file" => {
                self.file = pair
                    .path(report)
                    .filter(|path| !path.as_os_str().is_empty());
                true
            }
            "logfile_size_limit" | "log_size_limit" => {
                let size = pair.bytes(report);
                self.file_bytes_max = size.flatten().filter(|bytes| *bytes > 0);
                true
            }
            "logfile_max_num" | "log_max_num" => {
                let count = pair.count(report);
                self.files_max = count.flatten().filter(|count| *count > 0);
                true
            }
            "syslog" => set(&mut self.syslog, pair.boolean(report)),
            "remote_syslog" => {
                self.remote_syslog = pair.text(report).filter(|text| !text.is_empty());
                true
            }
            "max_traced_msg_len" => {
                let count = pair.count(report);
                self.traced_bytes_max = count.flatten().filter(|bytes| *bytes > 0);
                true
            }
            _ => false,
        }
    }
}

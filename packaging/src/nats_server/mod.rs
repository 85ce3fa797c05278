//! `natterjack broker`, and the same program under the name `nats-server`: a NATS server alone, with nats-server's flags,
//! configuration file, log lines, signals and files.
//!
//! Under the name `nats-server`, or with a configuration file, everything is as nats-server has it. `natterjack broker`
//! without one has defaults of its own: streams are on, in a data directory, and only this machine reaches it.

mod doors;
mod facts;
mod files;
mod flags;
mod foreign;
mod lines;
mod log;
mod log_sink;
mod reload;
mod serve;
mod settings;
mod signal;
mod signals;
mod usage;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use broker::COMPATIBLE_VERSION;

use crate::cli::Common;
use crate::nats_server::flags::{Asked, Flags};
use crate::nats_server::settings::{Refusal, Settings};
use crate::output;

/// The name under which this program is nats-server.
const NATS_SERVER: &str = "nats-server";

/// A command line that is for this part.
pub(crate) struct Invocation {
    /// The name that the program was called by.
    program: String,
    is_nats_server: bool,
    /// What stood before the word `broker`.
    common: Common,
    arguments: Vec<OsString>,
}

impl Invocation {
    /// Looks at a command line, the program's name first. `None`: it is for another part.
    pub(crate) fn of(line: impl IntoIterator<Item = OsString>) -> Option<Self> {
        let mut line = line.into_iter();
        let first = line.next()?;
        let name = Path::new(&first)
            .file_name()?
            .to_string_lossy()
            .into_owned();
        if name.starts_with(NATS_SERVER) {
            return Some(Self {
                program: name,
                is_nats_server: true,
                common: Common::default(),
                arguments: line.collect(),
            });
        }
        let mut common = Common::default();
        while let Some(argument) = line.next() {
            let argument = argument.into_string().ok()?;
            if argument == "broker" {
                return Some(Self {
                    program: name,
                    is_nats_server: false,
                    common,
                    arguments: line.collect(),
                });
            }
            let (flag, value) = match argument.split_once('=') {
                Some((flag, value)) => (flag, OsString::from(value)),
                None => (argument.as_str(), line.next()?),
            };
            match flag {
                "--config" => common.config = Some(PathBuf::from(value)),
                "--data-dir" => common.data_dir = Some(PathBuf::from(value)),
                "--log" => common.log = value.into_string().ok(),
                _ => return None,
            }
        }
        None
    }

    /// Does what is asked for.
    pub(crate) fn run(self) -> ExitCode {
        let flags = match flags::parse(self.arguments.iter().cloned()) {
            Asked::Run(flags) => flags,
            Asked::Version => {
                output::say(&format!("{NATS_SERVER}: v{COMPATIBLE_VERSION}"));
                return ExitCode::SUCCESS;
            }
            Asked::Help => {
                output::say(&self.usage());
                return ExitCode::SUCCESS;
            }
            Asked::TlsHelp => {
                output::say(usage::TLS);
                return ExitCode::SUCCESS;
            }
            Asked::Wrong(reason) => {
                output::note(&reason);
                output::note(&self.usage());
                return self.wrong_usage();
            }
            Asked::UnknownCommand(word) => {
                output::note(&format!("{}: unrecognized command: {word:?}", self.program));
                return self.wrong_usage();
            }
        };
        if let Some(command) = &flags.signal {
            return self.end(signal::send(command, &self.program).map_err(Refusal::Words));
        }
        if flags.check {
            return self.end(self.check(&flags));
        }
        self.end(self.serve(&flags))
    }

    fn usage(&self) -> String {
        let program = match self.is_nats_server {
            true => self.program.clone(),
            false => format!("{} broker", self.program),
        };
        let own = if self.is_nats_server { "" } else { usage::OWN };
        usage::usage(&program) + own
    }

    /// nats-server ends with 1; natterjack with the code of all its commands.
    fn wrong_usage(&self) -> ExitCode {
        match self.is_nats_server {
            true => ExitCode::FAILURE,
            false => crate::trouble::Exit::Usage.into(),
        }
    }

    /// `-t`: says whether a file is right.
    fn check(&self, flags: &Flags) -> Result<(), Refusal> {
        let words = |text: String| Err(Refusal::Words(text));
        let Some(path) = &flags.config else {
            let reason = "must specify [-c, --config] option to check configuration file syntax";
            return words(reason.to_owned());
        };
        let settings = Settings::of_nats_server(flags)?;
        if !settings.warnings.is_empty() {
            return words(lines_of(&settings.warnings));
        }
        doors::check(&settings.options).map_err(Refusal::Words)?;
        let digest = settings.options.digest.unwrap_or_default();
        let path = path.display();
        output::note(&format!(
            "{}: configuration file {path} is valid ({digest})",
            self.program
        ));
        Ok(())
    }

    fn serve(&self, flags: &Flags) -> Result<(), Refusal> {
        let is_own = !self.is_nats_server && flags.config.is_none();
        let settings = if is_own {
            Settings::of_natterjack(&self.common, flags)?
        } else {
            Settings::of_nats_server(flags)?
        };
        for warning in &settings.warnings {
            output::note(&warning.to_string());
        }
        serve::run(settings, flags, &self.program)
    }

    fn end(&self, result: Result<(), Refusal>) -> ExitCode {
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(Refusal::Trouble(trouble)) => {
                output::note(&trouble.to_string());
                trouble.exit.into()
            }
            // Said in the log already.
            Err(Refusal::Words(words)) if words.is_empty() => ExitCode::FAILURE,
            Err(Refusal::Words(words)) => {
                output::note(&format!("{}: {words}", self.program));
                ExitCode::FAILURE
            }
        }
    }
}

fn lines_of(errors: &[broker::config_file::ConfigError]) -> String {
    let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Option<Invocation> {
        Invocation::of(line.split(' ').map(OsString::from))
    }

    #[test]
    fn the_name_or_the_word_decides() {
        assert!(of("/usr/bin/nats-server -p 1").unwrap().is_nats_server);
        assert!(of("nats-server").unwrap().arguments.is_empty());
        let broker = of("natterjack --data-dir /d --log=debug broker -p 1").unwrap();
        assert!(!broker.is_nats_server);
        assert_eq!(broker.common.data_dir.as_deref(), Some(Path::new("/d")));
        assert_eq!(broker.common.log.as_deref(), Some("debug"));
        assert_eq!(broker.arguments, ["-p", "1"]);
        for line in [
            "natterjack",
            "natterjack serve",
            "natterjack user add broker",
            "natterjack --help",
            "natterjack --data-dir broker",
        ] {
            assert!(of(line).is_none(), "{line}");
        }
    }
}

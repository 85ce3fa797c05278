//! nats-server's flags: single or double dash, `-p 4222` and `-p=4222`, boolean flags without a value.

use std::ffi::OsString;
use std::path::PathBuf;

/// What stands on the command line. `None` is not said.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Flags {
    pub(crate) host: Option<String>,
    pub(crate) port: Option<i64>,
    pub(crate) name: Option<String>,
    pub(crate) pid_file: Option<PathBuf>,
    pub(crate) http_port: Option<i64>,
    pub(crate) https_port: Option<i64>,
    pub(crate) config: Option<PathBuf>,
    pub(crate) check: bool,
    pub(crate) signal: Option<String>,
    pub(crate) client_advertise: Option<String>,
    pub(crate) ports_file_dir: Option<PathBuf>,
    pub(crate) log_file: Option<PathBuf>,
    pub(crate) log_time: Option<bool>,
    pub(crate) log_utc: Option<bool>,
    pub(crate) log_bytes_max: Option<u64>,
    pub(crate) traced_bytes_max: Option<usize>,
    pub(crate) syslog: Option<bool>,
    pub(crate) remote_syslog: Option<String>,
    pub(crate) debug: Option<bool>,
    pub(crate) trace: Option<bool>,
    pub(crate) trace_verbose: Option<bool>,
    pub(crate) jetstream: Option<bool>,
    pub(crate) store_dir: Option<PathBuf>,
    pub(crate) user: Option<String>,
    pub(crate) pass: Option<String>,
    pub(crate) auth: Option<String>,
    pub(crate) tls: bool,
    pub(crate) tls_verify: bool,
    pub(crate) tls_cert: Option<PathBuf>,
    pub(crate) tls_key: Option<PathBuf>,
    pub(crate) tls_ca: Option<PathBuf>,
    pub(crate) max_payload: Option<usize>,
    /// Flags of clusters and profiling, which are refused.
    pub(crate) refused: Vec<&'static str>,
    // What `natterjack broker` takes beside them.
    pub(crate) nats_listen: Option<String>,
    pub(crate) data_dir: Option<PathBuf>,
    pub(crate) open: bool,
}

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To serve, to check a file or to send a signal.
    Run(Box<Flags>),
    Help,
    TlsHelp,
    Version,
    /// It cannot be understood.
    Wrong(String),
    /// A word that is no flag.
    UnknownCommand(String),
}

/// How a flag is spelled, whether it takes a value, and what it sets.
struct Flag {
    names: &'static [&'static str],
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Text(fn(&mut Flags, String)),
    Path(fn(&mut Flags, PathBuf)),
    Number(fn(&mut Flags, i64)),
    Switch(fn(&mut Flags, bool)),
    /// Known to nats-server, and refused here.
    Refused(&'static str),
    RefusedSwitch(&'static str),
    Help,
    TlsHelp,
    Version,
}

const fn flag(names: &'static [&'static str], kind: Kind) -> Flag {
    Flag { names, kind }
}

/// Every flag of nats-server 2.15, then our own.
const FLAGS: &[Flag] = &[
    flag(
        &["a", "addr", "net"],
        Kind::Text(|flags, text| flags.host = Some(text)),
    ),
    flag(
        &["p", "port"],
        Kind::Number(|flags, port| flags.port = Some(port)),
    ),
    flag(
        &["n", "name", "server_name"],
        Kind::Text(|flags, text| flags.name = Some(text)),
    ),
    flag(
        &["P", "pid"],
        Kind::Path(|flags, path| flags.pid_file = Some(path)),
    ),
    flag(
        &["m", "http_port"],
        Kind::Number(|flags, port| flags.http_port = Some(port)),
    ),
    flag(
        &["ms", "https_port"],
        Kind::Number(|flags, port| flags.https_port = Some(port)),
    ),
    flag(
        &["c", "config"],
        Kind::Path(|flags, path| flags.config = Some(path)),
    ),
    flag(&["t"], Kind::Switch(|flags, on| flags.check = on)),
    flag(
        &["sl", "signal"],
        Kind::Text(|flags, text| flags.signal = Some(text)),
    ),
    flag(
        &["client_advertise"],
        Kind::Text(|flags, text| flags.client_advertise = Some(text)),
    ),
    flag(
        &["ports_file_dir"],
        Kind::Path(|flags, path| flags.ports_file_dir = Some(path)),
    ),
    flag(
        &["l", "log"],
        Kind::Path(|flags, path| flags.log_file = Some(path)),
    ),
    flag(
        &["T", "logtime"],
        Kind::Switch(|flags, on| flags.log_time = Some(on)),
    ),
    flag(
        &["logtime_utc"],
        Kind::Switch(|flags, on| flags.log_utc = Some(on)),
    ),
    flag(
        &["s", "syslog"],
        Kind::Switch(|flags, on| flags.syslog = Some(on)),
    ),
    flag(
        &["r", "remote_syslog"],
        Kind::Text(|flags, text| flags.remote_syslog = Some(text)),
    ),
    flag(
        &["D", "debug"],
        Kind::Switch(|flags, on| flags.debug = Some(on)),
    ),
    flag(
        &["V", "trace"],
        Kind::Switch(|flags, on| flags.trace = Some(on)),
    ),
    flag(
        &["VV"],
        Kind::Switch(|flags, on| {
            flags.trace = Some(on);
            flags.trace_verbose = Some(on);
        }),
    ),
    flag(
        &["DV"],
        Kind::Switch(|flags, on| {
            flags.debug = Some(on);
            flags.trace = Some(on);
        }),
    ),
    flag(
        &["DVV"],
        Kind::Switch(|flags, on| {
            flags.debug = Some(on);
            flags.trace = Some(on);
            flags.trace_verbose = Some(on);
        }),
    ),
    flag(
        &["log_size_limit"],
        Kind::Number(|flags, bytes| flags.log_bytes_max = u64::try_from(bytes).ok()),
    ),
    flag(
        &["max_traced_msg_len"],
        Kind::Number(|flags, bytes| flags.traced_bytes_max = usize::try_from(bytes).ok()),
    ),
    flag(
        &["js", "jetstream"],
        Kind::Switch(|flags, on| flags.jetstream = Some(on)),
    ),
    flag(
        &["sd", "store_dir"],
        Kind::Path(|flags, path| flags.store_dir = Some(path)),
    ),
    flag(&["user"], Kind::Text(|flags, text| flags.user = Some(text))),
    flag(&["pass"], Kind::Text(|flags, text| flags.pass = Some(text))),
    flag(&["auth"], Kind::Text(|flags, text| flags.auth = Some(text))),
    flag(&["tls"], Kind::Switch(|flags, on| flags.tls = on)),
    flag(
        &["tlsverify"],
        Kind::Switch(|flags, on| flags.tls_verify = on),
    ),
    flag(
        &["tlscert"],
        Kind::Path(|flags, path| flags.tls_cert = Some(path)),
    ),
    flag(
        &["tlskey"],
        Kind::Path(|flags, path| flags.tls_key = Some(path)),
    ),
    flag(
        &["tlscacert"],
        Kind::Path(|flags, path| flags.tls_ca = Some(path)),
    ),
    flag(&["cluster"], Kind::Refused("--cluster")),
    flag(&["cluster_name"], Kind::Refused("--cluster_name")),
    flag(&["cluster_listen"], Kind::Refused("--cluster_listen")),
    flag(&["cluster_advertise"], Kind::Refused("--cluster_advertise")),
    flag(&["routes"], Kind::Refused("--routes")),
    flag(&["no_advertise"], Kind::RefusedSwitch("--no_advertise")),
    flag(&["connect_retries"], Kind::Refused("--connect_retries")),
    flag(&["profile"], Kind::Refused("--profile")),
    flag(
        &["max_payload"],
        Kind::Number(|flags, bytes| flags.max_payload = usize::try_from(bytes).ok()),
    ),
    flag(&["h", "help"], Kind::Help),
    flag(&["help_tls"], Kind::TlsHelp),
    flag(&["v", "version"], Kind::Version),
    flag(
        &["nats-listen"],
        Kind::Text(|flags, text| flags.nats_listen = Some(text)),
    ),
    flag(
        &["data-dir"],
        Kind::Path(|flags, path| flags.data_dir = Some(path)),
    ),
    flag(&["open"], Kind::Switch(|flags, on| flags.open = on)),
];

/// Reads the arguments behind the program's name.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Asked {
    let mut flags = Flags::default();
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let Some(text) = argument.to_str() else {
            return Asked::Wrong("arguments must be UTF-8".to_owned());
        };
        let Some(name) = text
            .strip_prefix("--")
            .or_else(|| text.strip_prefix('-'))
            .filter(|name| !name.is_empty())
        else {
            return match text.to_lowercase().as_str() {
                "--" => Asked::Run(Box::new(flags)),
                "version" => Asked::Version,
                "help" => Asked::Help,
                _ => Asked::UnknownCommand(text.to_owned()),
            };
        };
        let (name, value) = match name.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (name, None),
        };
        let Some(known) = FLAGS.iter().find(|flag| flag.names.contains(&name)) else {
            return Asked::Wrong(format!("flag provided but not defined: -{name}"));
        };
        match apply(known.kind, name, value, &mut arguments, &mut flags) {
            Ok(None) => {}
            Ok(Some(asked)) => return asked,
            Err(reason) => return Asked::Wrong(reason),
        }
    }
    Asked::Run(Box::new(flags))
}

fn apply(
    kind: Kind,
    name: &str,
    value: Option<String>,
    rest: &mut impl Iterator<Item = OsString>,
    flags: &mut Flags,
) -> Result<Option<Asked>, String> {
    let mut text = || match value.clone() {
        Some(value) => Ok(value),
        None => match rest.next().map(OsString::into_string) {
            Some(Ok(value)) => Ok(value),
            Some(Err(_)) => Err("arguments must be UTF-8".to_owned()),
            None => Err(format!("flag needs an argument: -{name}")),
        },
    };
    let truth = || match value.as_deref() {
        None | Some("true" | "1" | "t" | "T" | "TRUE" | "True") => Ok(true),
        Some("false" | "0" | "f" | "F" | "FALSE" | "False") => Ok(false),
        Some(other) => Err(format!(
            "invalid boolean value {other:?} for -{name}: parse error"
        )),
    };
    match kind {
        Kind::Text(set) => set(flags, text()?),
        Kind::Path(set) => set(flags, PathBuf::from(text()?)),
        Kind::Number(set) => {
            let text = text()?;
            let number = text.parse();
            set(
                flags,
                number
                    .map_err(|_| format!("invalid value {text:?} for flag -{name}: parse error"))?,
            );
        }
        Kind::Switch(set) => set(flags, truth()?),
        Kind::Refused(shown) => {
            text()?;
            flags.refused.push(shown);
        }
        Kind::RefusedSwitch(shown) => {
            if truth()? {
                flags.refused.push(shown);
            }
        }
        Kind::Help => return Ok(truth()?.then_some(Asked::Help)),
        Kind::TlsHelp => return Ok(truth()?.then_some(Asked::TlsHelp)),
        Kind::Version => return Ok(truth()?.then_some(Asked::Version)),
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Asked {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[track_caller]
    fn flags(line: &str) -> Flags {
        match read(line) {
            Asked::Run(flags) => *flags,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn dashes_and_equal_signs_are_as_one_likes() {
        for line in [
            "-p 4333",
            "--p 4333",
            "-p=4333",
            "--port=4333",
            "-port 4333",
        ] {
            assert_eq!(flags(line).port, Some(4333), "{line}");
        }
        assert_eq!(flags("-p -1").port, Some(-1));
        assert_eq!(
            flags("-a ::1 --net 0.0.0.0").host.as_deref(),
            Some("0.0.0.0")
        );
    }

    #[test]
    fn switches_stand_alone_or_have_a_value_behind_an_equal_sign() {
        let some = flags("-DV -js -T=false -sd /d --user a --pass b");
        assert_eq!(
            (some.debug, some.trace, some.trace_verbose),
            (Some(true), Some(true), None)
        );
        assert_eq!((some.jetstream, some.log_time), (Some(true), Some(false)));
        assert_eq!(flags("-D=false").debug, Some(false));
        assert_eq!(flags("-VV").trace_verbose, Some(true));
    }

    #[test]
    fn every_flag_has_one_meaning() {
        for (index, one) in FLAGS.iter().enumerate() {
            for other in &FLAGS[index + 1..] {
                assert!(
                    one.names.iter().all(|name| !other.names.contains(name)),
                    "{:?}",
                    one.names
                );
            }
        }
    }

    #[test]
    fn words_and_mistakes() {
        assert_eq!(read("-v"), Asked::Version);
        assert_eq!(read("version"), Asked::Version);
        assert_eq!(read("-p 1 --help"), Asked::Help);
        assert_eq!(read("--help_tls"), Asked::TlsHelp);
        assert_eq!(read("bar"), Asked::UnknownCommand("bar".to_owned()));
        for (line, expected) in [
            ("--foo", "flag provided but not defined: -foo"),
            ("-p abc", "invalid value \"abc\" for flag -p: parse error"),
            ("-p", "flag needs an argument: -p"),
            (
                "-D=maybe",
                "invalid boolean value \"maybe\" for -D: parse error",
            ),
        ] {
            assert_eq!(read(line), Asked::Wrong(expected.to_owned()), "{line}");
        }
        assert_eq!(
            flags("--routes nats://x:1 --cluster nats://y:1").refused,
            ["--routes", "--cluster"]
        );
    }
}

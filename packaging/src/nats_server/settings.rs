//! What a server is started with: nats-server's flags over its configuration file, or natterjack's own settings.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use broker::accounts::{Secret, UserConfig};
use broker::config_file::options::{HostPort, SyncOption};
use broker::config_file::{ConfigError, Machine, Options};
use broker::{CertificateFiles, TlsConfig};
use sha2::{Digest as _, Sha256};
use storage::MasterKey;
use storage::stream::{StoreOptions, SyncPolicy};

use super::flags::Flags;
use crate::cli::{Common, ServeFlags};
use crate::config::{self, Loaded};
use crate::purpose::Purpose;
use crate::trouble::Trouble;
use crate::wiring;

/// Where streams are kept below `store_dir`, as in nats-server.
const STREAMS_DIR: &str = "jetstream";
/// `store_dir` when none is named, in the directory of temporary files, as in nats-server.
const STORE_DIR: &str = "nats";

/// Why a server does not start.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// In nats-server's words, behind the name of the program; exit code 1.
    Words(String),
    /// In natterjack's.
    Trouble(Trouble),
}

impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

/// Everything that a server is started with.
pub(crate) struct Settings {
    pub(crate) options: Options,
    pub(crate) config: broker::Config,
    pub(crate) store: Option<Store>,
    pub(crate) warnings: Vec<ConfigError>,
    /// Said at the terminal, and not only logged, where natterjack's own defaults hold.
    pub(crate) own: Option<Own>,
}

/// What only natterjack's own form has.
pub(crate) struct Own {
    /// How much is logged, as in `natterjack serve`.
    pub(crate) log: String,
}

/// Where streams lie, and how they are kept.
pub(crate) struct Store {
    pub(crate) dir: PathBuf,
    pub(crate) options: StoreOptions,
}

impl Settings {
    /// As nats-server does: the file, then the flags.
    pub(crate) fn of_nats_server(flags: &Flags) -> Result<Self, Refusal> {
        let (mut options, warnings) = match &flags.config {
            Some(path) => {
                let loaded = Options::load(path, &Machine);
                let loaded = loaded.map_err(|errors| Refusal::Words(errors.to_string()))?;
                (loaded.options, loaded.warnings)
            }
            None => (Options::default(), Vec::new()),
        };
        apply(flags, &mut options)?;
        options
            .check()
            .map_err(|errors| Refusal::Words(errors.to_string()))?;
        let config = options.to_config();
        let mut store = None;
        if options.jetstream.enabled {
            store = Some(Store {
                dir: store_dir(flags, &options),
                options: store_options(&options),
            });
        }
        Ok(Self {
            options,
            config,
            store,
            warnings,
            own: None,
        })
    }

    /// Streams are on and the address is one that only this machine reaches, unless something else is said.
    pub(crate) fn of_natterjack(common: &Common, flags: &Flags) -> Result<Self, Refusal> {
        let serve = ServeFlags {
            nats_listen: flags.nats_listen.clone(),
            ..ServeFlags::default()
        };
        let common = Common {
            data_dir: flags.data_dir.clone().or_else(|| common.data_dir.clone()),
            config: common.config.clone(),
            log: common.log.clone(),
        };
        let Loaded { config, data_dir } = config::load(&common, &serve, Purpose::Broker)?;
        let mut options = Options::default();
        options.host = config.nats.listen.ip().to_string();
        options.port = config.nats.listen.port();
        let broker = wiring::broker(&config);
        options.server_name = Some(broker.server_name.clone());
        options.limits = broker.limits.clone();
        options.jetstream.enabled = true;
        apply(flags, &mut options)?;
        options
            .check()
            .map_err(|errors| Refusal::Words(errors.to_string()))?;
        check_reach(&options, flags.open)?;
        let mut settings = Self {
            config: broker::Config {
                server_name: options.server_name.clone().unwrap_or_default(),
                limits: options.limits.clone(),
                ..broker
            },
            store: None,
            warnings: Vec::new(),
            own: Some(Own {
                log: config.log.clone(),
            }),
            options,
        };
        if settings.options.jetstream.enabled {
            let dir = match &flags.store_dir {
                Some(dir) => dir.join(STREAMS_DIR),
                None => data_dir,
            };
            let options = wiring::stream_options(&config, Purpose::Broker);
            let options = options.map_err(|error| crate::explain::explain(&error.into()))?;
            settings.store = Some(Store { dir, options });
        }
        Ok(settings)
    }
}

/// Refuses an address where others could come in without a word, unless that is what is wanted.
fn check_reach(options: &Options, open: bool) -> Result<(), Trouble> {
    let is_local = options.host == "localhost"
        || options
            .host
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.is_loopback());
    if open || is_local || options.accounts.requires_auth() {
        return Ok(());
    }
    let listen = match options.host.parse::<IpAddr>() {
        Ok(ip) => SocketAddr::new(ip, options.port).to_string(),
        Err(_) => format!("{}:{}", options.host, options.port),
    };
    Err(Trouble::config(
        format!(
            "Nobody has to sign in, so `natterjack broker` does not listen on {listen}, where others can reach it."
        ),
        "Listen on a loopback address, ask for a user (--user and --pass, or a configuration file), or pass --open if everybody who can reach it may read, write and delete everything.",
    ))
}

/// Where the streams of a nats-server's configuration lie.
fn store_dir(flags: &Flags, options: &Options) -> PathBuf {
    if let Some(dir) = &flags.data_dir {
        return dir.clone();
    }
    let root = flags
        .store_dir
        .clone()
        .or_else(|| options.jetstream.store_dir.clone());
    root.unwrap_or_else(|| std::env::temp_dir().join(STORE_DIR))
        .join(STREAMS_DIR)
}

fn store_options(options: &Options) -> StoreOptions {
    let mut store = StoreOptions::default();
    store.sync = match options.jetstream.sync {
        SyncOption::Interval(interval) => Some(SyncPolicy::Interval(interval)),
        SyncOption::Unsaid | SyncOption::Always => None,
    };
    let key = options.jetstream.encryption_key.as_ref();
    store.cipher = key.map(|key| {
        // nats-server takes a text of any length for its key.
        let bytes = Sha256::digest(key.expose().as_bytes());
        Arc::new(MasterKey::from_bytes(bytes.into()))
    });
    store
}

/// Flags override the file.
fn apply(flags: &Flags, options: &mut Options) -> Result<(), Refusal> {
    let words = |text: &str| Refusal::Words(text.to_owned());
    if let Some(refused) = flags.refused.first() {
        let reason = match *refused {
            "--profile" => "there is no profiling port",
            _ => "natterjack is one server; link servers as leaf nodes in a configuration file",
        };
        return Err(words(&format!("{refused} is not supported: {reason}")));
    }
    if let Some(host) = &flags.host {
        options.host.clone_from(host);
        options.is_host_said = true;
    }
    if let Some(port) = flags.port {
        options.port = port_of(port)?.unwrap_or(4222);
    }
    if let Some(name) = &flags.name {
        if name.contains(' ') {
            return Err(words("server name cannot contain spaces"));
        }
        options.server_name = Some(name.clone());
    }
    monitoring(flags, options)?;
    logging(flags, options);
    let paths: [(&Option<PathBuf>, &mut Option<PathBuf>); 2] = [
        (&flags.pid_file, &mut options.pid_file),
        (&flags.ports_file_dir, &mut options.ports_file_dir),
    ];
    for (flag, option) in paths {
        if flag.is_some() {
            option.clone_from(flag);
        }
    }
    if let Some(advertise) = &flags.client_advertise {
        let advertise = broker::config_file::options::advertise(advertise, options.port);
        options.client_advertise = Some(advertise.map_err(Refusal::Words)?);
    }
    if let Some(enabled) = flags.jetstream {
        options.jetstream.enabled = enabled;
    }
    if let Some(bytes) = flags.max_payload {
        options.limits.payload_bytes_max = bytes;
    }
    authorization(flags, options);
    tls(flags, options)
}

fn port_of(port: i64) -> Result<Option<u16>, Refusal> {
    match port {
        -1 => Ok(Some(0)),
        0 => Ok(None),
        _ => u16::try_from(port).map(Some).map_err(|_| {
            Refusal::Words(format!(
                "invalid port {port}: it is from 1 to 65535, or -1 for any"
            ))
        }),
    }
}

fn monitoring(flags: &Flags, options: &mut Options) -> Result<(), Refusal> {
    let monitoring = &mut options.monitoring;
    let doors = [
        (flags.http_port, &mut monitoring.http),
        (flags.https_port, &mut monitoring.https),
    ];
    for (flag, door) in doors {
        if let Some(port) = flag {
            let host = door.take().and_then(|before| before.host);
            let port = port_of(port)?;
            *door = Some(HostPort { host, port });
        }
    }
    Ok(())
}

fn logging(flags: &Flags, options: &mut Options) {
    let log = &mut options.log;
    if let Some(path) = &flags.log_file {
        log.file = Some(path.clone()).filter(|path| path != Path::new(""));
    }
    let switches = [
        (flags.log_time, &mut log.time),
        (flags.log_utc, &mut log.utc),
        (flags.syslog, &mut log.syslog),
        (flags.debug, &mut log.debug),
        (flags.trace, &mut log.trace),
        (flags.trace_verbose, &mut log.trace_verbose),
    ];
    for (flag, option) in switches {
        *option = flag.unwrap_or(*option);
    }
    if flags.remote_syslog.is_some() {
        log.remote_syslog.clone_from(&flags.remote_syslog);
    }
    log.file_bytes_max = flags
        .log_bytes_max
        .filter(|max| *max > 0)
        .or(log.file_bytes_max);
    log.traced_bytes_max = flags
        .traced_bytes_max
        .filter(|max| *max > 0)
        .or(log.traced_bytes_max);
}

fn authorization(flags: &Flags, options: &mut Options) {
    let accounts = &mut options.accounts;
    if let Some(token) = &flags.auth {
        accounts.token = Some(Secret::from(token.clone()));
        accounts.users.clear();
    }
    if let Some(user) = &flags.user {
        let password = flags.pass.clone().unwrap_or_default();
        accounts.token = None;
        accounts.users = vec![UserConfig::with_password(user.clone(), password)];
    }
}

fn tls(flags: &Flags, options: &mut Options) -> Result<(), Refusal> {
    let wanted = flags.tls
        || flags.tls_verify
        || [&flags.tls_cert, &flags.tls_key, &flags.tls_ca]
            .iter()
            .any(|file| file.is_some());
    if !wanted {
        return Ok(());
    }
    let present = |file: &Option<PathBuf>, what: &str| {
        file.clone()
            .ok_or_else(|| Refusal::Words(format!("TLS Server {what} must be present and valid")))
    };
    let certificate = CertificateFiles {
        cert_file: present(&flags.tls_cert, "certificate")?,
        key_file: present(&flags.tls_key, "private key")?,
    };
    let tls = options.tls.get_or_insert_with(TlsConfig::default);
    tls.certificates = vec![certificate];
    tls.verify |= flags.tls_verify;
    if flags.tls_ca.is_some() {
        tls.ca_file.clone_from(&flags.tls_ca);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nats_server::flags::{Asked, parse};

    #[track_caller]
    fn settings(line: &str) -> Result<Settings, String> {
        let arguments = line.split_whitespace().map(std::ffi::OsString::from);
        let Asked::Run(flags) = parse(arguments) else {
            panic!("{line}")
        };
        Settings::of_nats_server(&flags).map_err(|refusal| match refusal {
            Refusal::Words(words) => words,
            Refusal::Trouble(trouble) => trouble.to_string(),
        })
    }

    #[test]
    fn flags_stand_above_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.conf");
        std::fs::write(&file, "listen: \"127.0.0.1:4333\"\nserver_name: a\ndebug: true\nauthorization { token: t }\njetstream { store_dir: \"/d\" }").unwrap();
        let file = file.display();
        let read = settings(&format!(
            "-c {file} -p -1 -n b -D=false --user u --pass p -m 8222"
        ))
        .unwrap();
        let options = &read.options;
        assert_eq!((options.host.as_str(), options.port), ("127.0.0.1", 0));
        assert_eq!(read.config.server_name, "b");
        assert!(!options.log.debug && options.accounts.token.is_none());
        assert_eq!(options.accounts.users[0].name, "u");
        assert_eq!(options.monitoring.http.as_ref().unwrap().port, Some(8222));
        assert_eq!(read.store.unwrap().dir, Path::new("/d/jetstream"));
        let read = settings(&format!("-c {file} -sd /e")).unwrap();
        assert_eq!(read.store.unwrap().dir, Path::new("/e/jetstream"));
    }

    #[test]
    fn streams_are_off_unless_asked_for() {
        assert!(settings("-p 4222").unwrap().store.is_none());
        let temporary = std::env::temp_dir().join("nats/jetstream");
        assert_eq!(settings("-js").unwrap().store.unwrap().dir, temporary);
    }

    #[test]
    fn what_cannot_be_is_refused_in_a_sentence() {
        for (line, expected) in [
            ("--tls", "TLS Server certificate must be present and valid"),
            (
                "--tlsverify --tlscert x",
                "TLS Server private key must be present and valid",
            ),
            (
                "-p 70000",
                "invalid port 70000: it is from 1 to 65535, or -1 for any",
            ),
            (
                "--routes nats://x:1",
                "--routes is not supported: natterjack is one server; link servers as leaf nodes in a configuration file",
            ),
            (
                "-c /none.conf",
                "open /none.conf: no such file or directory",
            ),
        ] {
            assert_eq!(settings(line).err().as_deref(), Some(expected), "{line}");
        }
    }

    #[test]
    fn others_are_let_in_only_when_asked_for() {
        for (host, open, users, expected) in [
            ("127.0.0.1", false, false, true),
            ("localhost", false, false, true),
            ("::1", false, false, true),
            ("0.0.0.0", false, false, false),
            ("192.0.2.1", false, false, false),
            ("0.0.0.0", true, false, true),
            ("0.0.0.0", false, true, true),
        ] {
            let mut options = Options::default();
            options.host = host.to_owned();
            if users {
                options
                    .accounts
                    .users
                    .push(UserConfig::with_password("a", "b"));
            }
            assert_eq!(check_reach(&options, open).is_ok(), expected, "{host}");
        }
    }
}

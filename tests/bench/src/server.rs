//! A server under test: a child process on free ports.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use load::{Credentials, Target, Tls, TlsFiles, Transport};

use crate::report;

/// A server must accept connections within this time.
const START_MAX: Duration = Duration::from_secs(20);

/// The unit of processor times in `/proc`, the same on every Linux that matters.
const TICK: Duration = Duration::from_millis(10);

/// A certificate for 127.0.0.1 that signs itself, and its key: files in PEM form for all servers of a run.
static CERTIFICATE: LazyLock<Result<(String, String), String>> = LazyLock::new(|| {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]);
    let made = made.map_err(|error| error.to_string())?;
    let place = |name: &str| {
        let file = format!("natterjack-bench-{}-{name}.pem", std::process::id());
        std::env::temp_dir().join(file).display().to_string()
    };
    let (cert, key) = (place("cert"), place("key"));
    std::fs::write(&cert, made.cert.pem())
        .and_then(|()| std::fs::write(&key, made.signing_key.serialize_pem()))
        .map_err(|error| format!("{cert}: {error}"))?;
    Ok((cert, key))
});

/// A running server; it is killed when dropped.
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) tcp: SocketAddr,
    /// Where WebSocket connections go, if the command has a place for that port.
    pub(crate) websocket: Option<SocketAddr>,
    pub(crate) token: Option<String>,
    /// Syncs every message by itself: it is given less to do.
    pub(crate) is_slow: bool,
    command: String,
    places: Places,
    child: Child,
}

/// What the placeholders of a command stand for.
#[derive(Clone, Debug)]
struct Places {
    tcp: SocketAddr,
    websocket: Option<SocketAddr>,
    /// A directory of its own for this server's data.
    store: Option<PathBuf>,
}

impl Server {
    /// Starts `command` and waits until it accepts connections.
    pub(crate) fn start(
        name: &'static str,
        command: &str,
        token: Option<String>,
    ) -> Result<Self, String> {
        let tcp = free_address()?;
        let websocket = if command.contains("{ws}") || command.contains("{conf}") {
            Some(free_address()?)
        } else {
            None
        };
        let places = Places {
            tcp,
            websocket,
            store: None,
        };
        Self::start_at(name, command, token, places)
    }

    /// Starts a server that keeps its data in `store`.
    pub(crate) fn start_with_store(
        name: &'static str,
        command: &str,
        store: &Path,
    ) -> Result<Self, String> {
        let places = Places {
            tcp: free_address()?,
            websocket: None,
            store: Some(store.to_owned()),
        };
        Self::start_at(name, command, None, places)
    }

    fn start_at(
        name: &'static str,
        command: &str,
        token: Option<String>,
        places: Places,
    ) -> Result<Self, String> {
        let mut child = spawn(command, &places, Stdio::null())?;
        for address in std::iter::once(places.tcp).chain(places.websocket) {
            wait_until_open(address, &mut child).map_err(|error| format!("{name}: {error}"))?;
        }
        Ok(Self {
            name,
            tcp: places.tcp,
            websocket: places.websocket,
            token,
            is_slow: false,
            command: command.to_owned(),
            places,
            child,
        })
    }

    /// Kills the server without a warning and starts it again in the same places.
    pub(crate) fn restart(&mut self) -> Result<(), String> {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.child = spawn(&self.command, &self.places, Stdio::null())?;
        Ok(())
    }

    /// Processor time of all its threads since it started.
    pub(crate) fn cpu_time(&self) -> Result<Duration, String> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))
            .map_err(|error| error.to_string())?;
        // The name in parentheses may hold blanks; user and system time are the 12th and 13th field after it.
        let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
        let fields = after.split_ascii_whitespace().skip(11).take(2);
        let ticks: Option<Vec<u64>> = fields.map(|field| field.parse().ok()).collect();
        let ticks = ticks.filter(|ticks| ticks.len() == 2).ok_or("no times")?;
        Ok(TICK * u32::try_from(ticks.iter().sum::<u64>()).map_err(|error| error.to_string())?)
    }

    /// Where clients connect.
    pub(crate) fn target(&self) -> Target {
        self.target_at(self.tcp, Transport::Tcp)
    }

    /// Where WebSocket clients connect.
    pub(crate) fn websocket_target(&self) -> Result<Target, String> {
        let address = self.websocket.ok_or("no WebSocket in the command")?;
        Ok(self.target_at(address, Transport::WebSocket))
    }

    /// Where clients connect that speak TLS.
    pub(crate) fn tls_target(&self) -> Result<Target, String> {
        let (cert, _) = CERTIFICATE.as_ref().map_err(Clone::clone)?;
        let files = TlsFiles {
            ca: Some(cert.into()),
            identity: None,
        };
        let tls = Tls::open(&files, false).map_err(|error| error.to_string())?;
        Ok(Target {
            tls: Some(tls),
            ..self.target()
        })
    }

    fn target_at(&self, address: SocketAddr, transport: Transport) -> Target {
        Target {
            host: address.ip().to_string(),
            port: address.port(),
            transport,
            tls: None,
            path: "/".to_owned(),
            credentials: self
                .token
                .clone()
                .map_or(Credentials::None, Credentials::Token),
        }
    }

    pub(crate) fn resident_bytes(&self) -> Result<u64, String> {
        resident_bytes(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts an appliance again and again: time from start to its banner, and memory once it is idle.
pub(crate) fn measure_start(command: &str, rounds: usize) -> Result<(), String> {
    let mut ready = Vec::new();
    let mut memory = Vec::new();
    for _ in 0..rounds {
        let (tcp, websocket) = (free_address()?, free_address()?);
        let start = Instant::now();
        let places = Places {
            tcp,
            websocket: Some(websocket),
            store: None,
        };
        let mut child = spawn(command, &places, Stdio::piped())?;
        let output = child.stdout.take().expect("standard output is piped");
        let mut first = String::new();
        BufReader::new(output)
            .read_line(&mut first)
            .map_err(|error| error.to_string())?;
        ready.push(start.elapsed().as_secs_f64() * 1e3);
        std::thread::sleep(Duration::from_secs(3));
        let idle = resident_bytes(child.id());
        let _ = child.kill();
        let _ = child.wait();
        memory.push(idle? as f64);
    }
    report::of_start(&ready, &memory);
    Ok(())
}

fn spawn(command: &str, places: &Places, stdout: Stdio) -> Result<Child, String> {
    let Places {
        tcp,
        websocket,
        store,
    } = places;
    let ws = websocket.map_or_else(String::new, |address| address.port().to_string());
    let store = store
        .as_ref()
        .map_or_else(String::new, |path| path.display().to_string());
    let conf = std::env::temp_dir().join(format!("natterjack-bench-{}.conf", tcp.port()));
    let certificate = &*CERTIFICATE;
    let (cert, key) = certificate.as_ref().map_err(Clone::clone)?;
    let text = if command.contains("{conf}") {
        format!(
            "websocket {{ listen: \"127.0.0.1:{ws}\", no_tls: true }}\n\
             tls {{ cert_file: \"{cert}\", key_file: \"{key}\" }}\nallow_non_tls: true\n"
        )
    } else if command.contains("{synced}") {
        format!("jetstream {{ store_dir: \"{store}\", sync_interval: always }}\n")
    } else {
        String::new()
    };
    if !text.is_empty() {
        std::fs::write(&conf, text).map_err(|error| format!("{}: {error}", conf.display()))?;
    }
    let conf = conf.display().to_string();
    let mut words = command.split_ascii_whitespace().map(|word| {
        word.replace("{port}", &tcp.port().to_string())
            .replace("{ws}", &ws)
            .replace("{conf}", &conf)
            .replace("{synced}", &conf)
            .replace("{store}", &store)
            .replace("{cert}", cert)
            .replace("{key}", key)
    });
    let program = words.next().ok_or("empty command")?;
    Command::new(&program)
        .args(words)
        .stdin(Stdio::null())
        .stdout(stdout)
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("{program}: {error}"))
}

/// A port nobody listens on now. Somebody else could take it before the server does; then the run fails and says so.
fn free_address() -> Result<SocketAddr, String> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(|error| error.to_string())
}

fn wait_until_open(address: SocketAddr, child: &mut Child) -> Result<(), String> {
    let start = Instant::now();
    while TcpStream::connect(address).is_err() {
        if let Ok(Some(status)) = child.try_wait() {
            return Err(format!("ended at once: {status}"));
        }
        if start.elapsed() > START_MAX {
            return Err(format!("nothing listens on {address}"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn resident_bytes(pid: u32) -> Result<u64, String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))
        .map_err(|error| error.to_string())?;
    status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok())
        .map(|kib| kib * 1024)
        .ok_or_else(|| "no VmRSS".to_owned())
}

//! The `leafnodes` block of a nats-server configuration, as plain data.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::url::LeafUrl;
use crate::listen::tls::config::TlsConfig;

/// Pause before a remote is dialled again (nats-server's default).
const RECONNECT: Duration = Duration::from_secs(1);
/// Time the other side has for its first INFO (nats-server's default).
const FIRST_INFO_TIMEOUT: Duration = Duration::from_secs(1);

/// Links to other servers: who may come in, and where to go.
#[derive(Debug, Clone, PartialEq)]
pub struct LeafConfig {
    /// The port that leaves come in on, if any do.
    pub listen: Option<LeafListen>,
    /// Servers to be a leaf of.
    pub remotes: Vec<LeafRemote>,
    /// Pause before a remote is dialled again; some more is added by chance. Default one second.
    pub reconnect: Duration,
    /// No link is told what others want (`isolate_leafnode_interest`).
    pub isolate_interest: bool,
    /// Time for a write to a link to make progress; the server's own where absent.
    pub write_deadline: Option<Duration>,
}

impl Default for LeafConfig {
    fn default() -> Self {
        Self {
            listen: None,
            remotes: Vec::new(),
            reconnect: RECONNECT,
            isolate_interest: false,
            write_deadline: None,
        }
    }
}

/// A port for leaves.
#[derive(Debug, Clone, PartialEq)]
pub struct LeafListen {
    /// The address; port 0 takes a free one.
    pub addr: SocketAddr,
    /// `host:port` that leaves are told instead of the address.
    pub advertise: Option<String>,
    /// Leaves are told no address at all.
    pub no_advertise: bool,
    /// Who may come in; where absent, the users of the client port.
    pub authorization: Option<LeafAuthorization>,
    /// Oldest version of nats-server that may come in, such as `2.8.0`.
    pub min_version: Option<String>,
    /// TLS on the port.
    pub tls: Option<TlsConfig>,
}

impl LeafListen {
    /// A port that lets in whom the client port lets in.
    #[must_use]
    pub fn new(addr: SocketAddr) -> Self {
        Self {
            addr,
            advertise: None,
            no_advertise: false,
            authorization: None,
            min_version: None,
            tls: None,
        }
    }
}

/// Users that only leaves have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeafAuthorization {
    /// The users. A block with a single `user` has one entry; a block with an `account` alone has one without any name.
    pub users: Vec<LeafUser>,
    /// Time for CONNECT. Default two seconds.
    pub timeout: Duration,
}

impl Default for LeafAuthorization {
    fn default() -> Self {
        Self {
            users: Vec::new(),
            timeout: Duration::from_secs(2),
        }
    }
}

/// A user that only leaves have. `Debug` shows no secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct LeafUser {
    /// Name; empty where the user is known by its key, or where nobody has to say who it is.
    pub user: String,
    /// Password, plain or as a bcrypt hash.
    pub password: String,
    /// Public key of a user that signs the nonce.
    pub nkey: Option<String>,
    /// The account it is bound to; `$G` where absent.
    pub account: Option<String>,
}

impl fmt::Debug for LeafUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeafUser")
            .field("user", &self.user)
            .field("nkey", &self.nkey)
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

/// A server to be a leaf of. `Debug` shows no secret.
#[derive(Clone, PartialEq)]
pub struct LeafRemote {
    /// Where it is; one is taken after the other.
    pub urls: Vec<LeafUrl>,
    /// The account here that is linked; `$G` where empty.
    pub account: String,
    /// A credentials file with a JWT and its seed; read at every attempt.
    pub credentials: Option<PathBuf>,
    /// The seed of a user key.
    pub nkey_seed: Option<String>,
    /// TLS, whether or not the other side asks for it.
    pub tls: Option<TlsConfig>,
    /// This side is the hub although it dials.
    pub hub: bool,
    /// Subjects that are not taken from the other side.
    pub deny_imports: Vec<String>,
    /// Subjects that are not given to the other side.
    pub deny_exports: Vec<String>,
    /// Takes `urls` in order and not by chance.
    pub no_randomize: bool,
    /// Time for the other side's first INFO. Default one second.
    pub first_info_timeout: Duration,
    /// The other side is not told what other links want.
    pub isolate_interest: bool,
    /// Asks the other side not to tell this link what others want.
    pub request_isolation: bool,
    /// Takes only `urls`, not what the other side advertises.
    pub ignore_discovered_servers: bool,
    /// Asks a WebSocket server for frames without masks.
    pub websocket_no_masking: bool,
    /// Not dialled at all.
    pub disabled: bool,
}

impl Default for LeafRemote {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            account: String::new(),
            credentials: None,
            nkey_seed: None,
            tls: None,
            hub: false,
            deny_imports: Vec::new(),
            deny_exports: Vec::new(),
            no_randomize: false,
            first_info_timeout: FIRST_INFO_TIMEOUT,
            isolate_interest: false,
            request_isolation: false,
            ignore_discovered_servers: false,
            websocket_no_masking: false,
            disabled: false,
        }
    }
}

impl fmt::Debug for LeafRemote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeafRemote")
            .field("urls", &self.urls)
            .field("account", &self.account)
            .field("credentials", &self.credentials)
            .field("tls", &self.tls)
            .field("hub", &self.hub)
            .field("deny_imports", &self.deny_imports)
            .field("deny_exports", &self.deny_exports)
            .field("disabled", &self.disabled)
            .finish_non_exhaustive()
    }
}

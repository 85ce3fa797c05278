//! What a link is told.

use std::fmt;

/// Appends `LS+ <key>`, with the weight of a queue group where the key names one.
pub(crate) fn subscribe(key: &[u8], weight: Option<u32>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"LS+ ");
    out.extend_from_slice(key);
    if let Some(weight) = weight {
        out.push(b' ');
        out.extend_from_slice(itoa::Buffer::new().format(weight).as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends `LS- <key>`.
pub(crate) fn unsubscribe(key: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"LS- ");
    out.extend_from_slice(key);
    out.extend_from_slice(b"\r\n");
}

/// Appends `-ERR '<text>'`.
pub(crate) fn error(error: &LeafError<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("-ERR '{error}'\r\n").as_bytes());
}

/// What only leaf nodes are told, in nats-server's words: the other side decides by them when to come again.
#[derive(Debug, Clone, Copy)]
pub(crate) enum LeafError<'a> {
    /// A client found the port of the leaf nodes.
    WrongPort,
    /// The link would close a circle.
    Loop { account: &'a str },
    /// Both sides would be the same cluster.
    SameCluster,
    /// The same server has another link for the same account.
    Duplicate,
    /// Older than the configuration allows.
    MinimumVersion(&'a str),
    /// The second INFO did not come.
    Stale,
}

impl fmt::Display for LeafError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongPort => f.write_str("attempted to connect to leaf node port"),
            Self::Loop { account } => write!(
                f,
                "Loop detected for leafnode account=\"{account}\". Delaying attempt to reconnect for 30s"
            ),
            Self::SameCluster => f.write_str("remote leafnode has same cluster name"),
            Self::Duplicate => f.write_str("Duplicate Remote LeafNode Connection"),
            Self::MinimumVersion(version) => write!(
                f,
                "connection rejected since minimum version required is \"{version}\""
            ),
            Self::Stale => f.write_str("Stale Leaf Node Connection - Closing"),
        }
    }
}

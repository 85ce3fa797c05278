//! Links to other servers: this one as a leaf of theirs, and theirs as leaves of this one.
//!
//! A link binds one account here to one account there. Each side tells the other which subjects it wants, once per
//! subject however many want it, and gets the messages that match; nothing else crosses.

pub(crate) mod accept;
mod config;
mod credentials;
mod dial;
mod drive;
pub(crate) mod interest;
pub(crate) mod link;
pub(crate) mod proto;
pub(crate) mod registry;
pub(crate) mod remote;
pub(crate) mod route;
pub(crate) mod rules;
mod session;
mod tls;
mod url;
mod websocket;

pub use config::{LeafAuthorization, LeafConfig, LeafListen, LeafRemote, LeafUser};
pub use registry::LeafSnapshot;
pub use url::{LeafScheme, LeafUrl, LeafUrlError};

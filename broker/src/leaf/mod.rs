//! Links to other servers: this one as a leaf of theirs, and theirs as leaves of this one.
//!
//! A link binds one account here to one account there. Each side tells the other which subjects it wants, once per
//! subject however many want it, and gets the messages that match; nothing else crosses.

mod config;
mod url;

pub use config::{LeafAuthorization, LeafConfig, LeafListen, LeafRemote, LeafRemoteTls, LeafUser};
pub use url::{LeafScheme, LeafUrl, LeafUrlError};

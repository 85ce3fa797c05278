//! A NATS server as a library: protocol, routing, permissions, streams, and the in-process client.
//!
//! [`Server`] owns listeners, sessions and streams; [`Client`] is the only door for code in the same process. An
//! [`Authenticator`] decides who a connection is and what it may do.

mod auth;
mod error;
mod limits;
mod message;
pub mod proto;
pub mod subject;

pub use auth::{
    AllowAll, AuthError, Authenticator, ConnectRequest, ConnectionKind, Identity, Permissions,
    ResponsePermission, Sender, SubjectPermissions,
};
pub use error::{Error, PublishError, RequestError};
pub use limits::Limits;
pub use message::{Message, Publish};
pub use proto::headers::Headers;
pub use subject::{Subject, SubjectError, SubjectFilter};

//! The HTTP surface: the web client, sign-in under Keycloak's URL layout, and the WebSocket door to the broker.
//!
//! [`serve`] is the whole of it. Of the services it uses [`services::identity`] alone; chat goes through the WebSocket
//! to the broker, never through here.
//!
//! Invariants: every page has a strict content policy and no inline script; whatever a stranger can send has a named
//! limit ([`limits`]); a request for a host that is not ours is refused before anything looks at it.

mod app;
mod assets;
mod door;
mod form;
mod headers;
pub mod limits;
pub mod monitoring;
mod nats_ws;
mod oidc;
mod pages;
mod reply;
mod server;
#[cfg(test)]
mod tests;

pub use door::{NatsDoor, NatsIo, NatsSocket};
pub use server::{WebConfig, serve};

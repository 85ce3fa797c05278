//! The harness of the end-to-end suites: the real program on free ports, its users, and a bare NATS connection.
//!
//! The suites drive natterjack from outside only, as people and stock clients do: [`Appliance`] starts the built
//! binary with a data directory of its own, [`Broker`] the same without chat (or the real nats-server), [`Credentials`] one whose users have JWTs, [`sign_in`] gets
//! tokens through the real sign-in page, [`Raw`] speaks the protocol line by line where a stock client would be too
//! polite. Nothing here waits for a fixed time: [`eventually`] waits for a condition. A test may panic in here: what goes
//! wrong in the harness is a failed test.

mod appliance;
mod broker;
mod credentials;
mod eventually;
mod raw;
mod sign_in;

pub use appliance::{Appliance, Role, binary as natterjack};
pub use broker::{Broker, Program, nats_server};
pub use credentials::Credentials;
pub use eventually::{PATIENCE, eventually};
pub use raw::{Frame, Raw};
pub use sign_in::sign_in;

//! Every chat service, and the accounts they authorise by.

pub mod auth;
pub mod identity;

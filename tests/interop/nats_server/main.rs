//! natterjack under the name `nats-server`, started as harnesses, supervisors and operators start nats-server: flags,
//! configuration files, log lines, signals, and the files that a server leaves behind for others.

mod configuration;
mod flags;
mod process;
mod server;
mod signals;

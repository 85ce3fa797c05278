//! The same bytes to nats-server and to natterjack's broker: the answers must be the same.

//! Links between natterjack and the real nats-server, each as hub and as edge, driven by stock clients.

mod cable;
mod domains;
mod links;
mod rules;
mod site;
mod ways;

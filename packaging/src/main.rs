//! The natterjack binary: command line, configuration, and how the rooms of the house are put together.
//!
//! Nothing is decided here that a room below could decide. The binary reads what a person wants (`cli`, `config`), starts
//! and stops everything in order (`serve`), and turns what goes wrong into two sentences and an exit code (`trouble`).

mod banner;
mod cli;
mod commands;
mod config;
mod demo;
mod explain;
mod listen;
mod logging;
mod nats_server;
mod output;
mod password;
mod purpose;
mod runtime;
mod serve;
mod signals;
mod trouble;
mod wiring;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::cli::{Cli, Command, ServeFlags};
use crate::trouble::{Exit, Trouble};

fn main() -> ExitCode {
    if let Some(invocation) = nats_server::Invocation::of(std::env::args_os()) {
        return invocation.run();
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            let asked_for = matches!(
                error.kind(),
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
            );
            return if asked_for {
                ExitCode::SUCCESS
            } else {
                Exit::Usage.into()
            };
        }
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            output::note(&trouble.to_string());
            trouble.exit.into()
        }
    }
}

fn run(cli: Cli) -> Result<(), Trouble> {
    let Cli {
        common,
        serve,
        command,
    } = cli;
    if command
        .as_ref()
        .is_some_and(|command| !matches!(command, Command::Serve(_)))
        && serve != ServeFlags::default()
    {
        return Err(Trouble::usage(
            "A flag of `serve` was given to another command.",
            "Leave it out, or start with `natterjack serve`.",
        ));
    }
    match command {
        Some(Command::Config) => output::say(config::document().trim_end()),
        Some(Command::Bench(flags)) => commands::bench::run(*flags)?,
        Some(Command::Doctor(flags)) => commands::doctor::run(&common, &flags)?,
        Some(Command::Broker) => unreachable!("the word was seen before the command line was read"),
        Some(Command::User(command)) => commands::user::run(&common, command)?,
        Some(Command::Serve(flags)) => serve::run(&common, &flags.or(serve))?,
        None => serve::run(&common, &serve)?,
    }
    Ok(())
}

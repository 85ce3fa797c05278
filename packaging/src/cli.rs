//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands::bench::BenchFlags;

/// A team-chat appliance: one program with the server, the web client and a NATS server inside.
#[derive(Debug, Parser)]
#[command(name = "natterjack", version, disable_help_subcommand = true, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) serve: ServeFlags,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

const AFTER_HELP: &str = "\
Without a command natterjack serves. Every setting of the configuration file is also an environment variable:
[http] listen is NATTERJACK_HTTP__LISTEN. `natterjack config` prints a configuration file with every key explained.";

/// Flags that every command takes.
#[derive(Args, Debug, Default)]
pub(crate) struct Common {
    /// Configuration file [default: natterjack.toml in the data directory, if it exists]
    #[arg(
        long,
        value_name = "FILE",
        global = true,
        env = "NATTERJACK_CONFIG",
        hide_env = true
    )]
    pub(crate) config: Option<PathBuf>,
    /// Where everything is kept [default: /var/lib/natterjack for root, else ~/.local/share/natterjack]
    #[arg(long, value_name = "DIR", global = true)]
    pub(crate) data_dir: Option<PathBuf>,
    /// How much is logged to standard error: error, warn, info, debug, trace, or "info,broker=debug"
    #[arg(long, value_name = "LEVEL", global = true)]
    pub(crate) log: Option<String>,
}

/// Flags of `serve`. Addresses are checked together with those of the file and the environment.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServeFlags {
    /// Address of the web client; port 0 takes a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) http_listen: Option<String>,
    /// Address for NATS clients; port 0 takes a free one [default: 127.0.0.1:4222]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) nats_listen: Option<String>,
    /// What people type to come here, when a proxy stands in front: https://chat.example.org
    #[arg(long, value_name = "URL")]
    pub(crate) public_url: Option<String>,
    /// Try it out: thirteen demo users, rooms and a conversation, in a data directory of its own
    #[arg(long)]
    pub(crate) demo: bool,
}

impl ServeFlags {
    /// `self` where given, else `below`.
    pub(crate) fn or(self, below: Self) -> Self {
        Self {
            http_listen: self.http_listen.or(below.http_listen),
            nats_listen: self.nats_listen.or(below.nats_listen),
            public_url: self.public_url.or(below.public_url),
            demo: self.demo || below.demo,
        }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the appliance (the default)
    Serve(ServeFlags),
    /// Start a NATS server alone, with nats-server's flags and configuration file: see `natterjack broker --help`
    Broker,
    /// Add and change accounts, also while the server runs
    #[command(subcommand)]
    User(UserCommand),
    /// Check every stream file of the data directory; nothing is changed unless --repair is given
    Doctor(DoctorFlags),
    /// Bring load to any NATS server and measure throughput and latency
    Bench(Box<BenchFlags>),
    /// Print a configuration file with every key explained
    Config,
}

/// Flags of `doctor`.
#[derive(Args, Debug, Default)]
pub(crate) struct DoctorFlags {
    /// Put right what can be put right without losing anything
    #[arg(long)]
    pub(crate) repair: bool,
    /// As JSON, one array
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to do with accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    /// Add an account
    Add {
        /// Name to sign in with: a-z, 0-9 and _, at most 32
        name: String,
        /// Name that others see [default: the name to sign in with]
        #[arg(long, value_name = "TEXT")]
        display_name: Option<String>,
        /// May be given twice
        #[arg(long, value_enum, default_value = "user")]
        role: Vec<Role>,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// List the accounts
    List {
        /// As JSON, one array
        #[arg(long)]
        json: bool,
    },
    /// Set a new password and end the account's sessions
    Passwd {
        /// Name to sign in with
        name: String,
        #[command(flatten)]
        password: PasswordSource,
    },
    /// Give a role, or take it away
    Role {
        /// Name to sign in with
        name: String,
        /// The role
        role: Role,
        /// Take the role away
        #[arg(long)]
        remove: bool,
    },
    /// Print an access token, for connecting a NATS client from a script
    Token {
        /// Name to sign in with
        name: String,
    },
    /// Lock an account and end its sessions; its messages stay
    Disable {
        /// Name to sign in with
        name: String,
    },
    /// Unlock an account
    Enable {
        /// Name to sign in with
        name: String,
    },
}

/// Where a password comes from. Never from the command line, where other users of the machine can read it.
#[derive(Args, Debug)]
pub(crate) struct PasswordSource {
    /// Read the password from standard input, one line. Without it: asked at a terminal, else made and printed once
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

/// What an account may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Manages accounts and rooms
    Admin,
    /// Talks
    User,
}

impl Role {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::User => "user",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_of_serve_stand_before_or_after_the_word() {
        for line in [
            &["natterjack", "--demo", "serve"][..],
            &["natterjack", "serve", "--demo"],
            &["natterjack", "--demo"],
        ] {
            let cli = Cli::try_parse_from(line).unwrap();
            let serve = match cli.command {
                Some(Command::Serve(flags)) => flags.or(cli.serve),
                _ => cli.serve,
            };
            assert!(serve.demo, "{line:?}");
        }
    }

    #[test]
    fn data_dir_may_follow_the_command() {
        let cli = Cli::try_parse_from(["natterjack", "user", "list", "--data-dir", "/d"]).unwrap();
        assert_eq!(
            cli.common.data_dir.as_deref(),
            Some(std::path::Path::new("/d"))
        );
    }
}

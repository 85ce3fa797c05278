//! The signals that a server takes, as nats-server takes them.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    /// TERM or INT: stop.
    Stop,
    /// HUP: read the configuration again.
    Reload,
    /// USR1: open the log file again.
    Reopen,
    /// USR2: leave without a stampede.
    LameDuck,
    /// QUIT: end at once.
    Quit,
}

/// All of them, taken over from the operating system's defaults.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    user1: Signal,
    user2: Signal,
    quit: Signal,
}

impl Signals {
    /// Takes the signals over. Must be called on the runtime.
    pub(super) fn take() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
            user1: signal(SignalKind::user_defined1())?,
            user2: signal(SignalKind::user_defined2())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    /// Waits for the next one, and logs its name.
    pub(super) async fn next(&mut self) -> Command {
        let (name, command) = tokio::select! {
            _ = self.terminate.recv() => ("terminated", Command::Stop),
            _ = self.interrupt.recv() => ("interrupt", Command::Stop),
            _ = self.hangup.recv() => ("hangup", Command::Reload),
            _ = self.user1.recv() => ("user defined signal 1", Command::Reopen),
            _ = self.user2.recv() => ("user defined signal 2", Command::LameDuck),
            _ = self.quit.recv() => ("quit", Command::Quit),
        };
        tracing::info!("Trapped \"{name}\" signal");
        command
    }
}

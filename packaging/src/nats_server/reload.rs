//! HUP: the configuration is read again, and what can change while clients are connected does.

use std::path::Path;

use broker::Server;
use broker::config_file::Options;

use super::doors::OpenTls;
use super::facts;
use super::flags::Flags;
use super::log::Log;
use super::settings::{Refusal, Settings};

/// A running server and what it was started with.
pub(super) struct Reloadable<'a> {
    pub(super) server: &'a Server,
    pub(super) flags: &'a Flags,
    pub(super) log: &'a Log,
    pub(super) tls: &'a OpenTls,
    pub(super) options: Options,
}

impl Reloadable<'_> {
    /// Reads everything again. Whatever is wrong is logged, and everything stays as it was.
    pub(super) async fn reload(&mut self) -> Result<(), String> {
        let Some(path) = self.flags.config.as_deref() else {
            let reason = "no configuration file was given";
            tracing::warn!("Failed to reload server configuration: {reason}");
            return Err(reason.to_owned());
        };
        let taken = self.take_on(path).await;
        match &taken {
            Ok(()) => {
                let digest = self.options.digest.as_deref().unwrap_or_default();
                tracing::info!("Reloaded server configuration ({digest})");
            }
            Err(reason) => tracing::error!("Failed to reload server configuration: {reason}"),
        }
        taken
    }

    async fn take_on(&mut self, _path: &Path) -> Result<(), String> {
        let settings = Settings::of_nats_server(self.flags).map_err(|refusal| match refusal {
            Refusal::Words(words) => words,
            Refusal::Trouble(trouble) => trouble.what,
        })?;
        let new = settings.options;
        self.check_fixed(&new)?;
        // What may fail comes first: certificates, the log file, accounts.
        self.reload_tls(&new)?;
        if new.log != self.options.log {
            self.log.configure(&new.log)?;
            tracing::info!("Reloaded: log");
        }
        if new.operator.is_none() && new.accounts != self.options.accounts {
            let configured = self.server.configure_accounts(&new.accounts).await;
            configured.map_err(|error| chain(&error))?;
            tracing::info!("Reloaded: accounts");
        }
        self.server.configure_limits(&new.to_config());
        facts::tell(self.server, &new, None);
        self.options = new;
        Ok(())
    }

    /// What a running server cannot change.
    fn check_fixed(&self, new: &Options) -> Result<(), String> {
        let old = &self.options;
        let fixed = [
            ("host", old.host == new.host),
            ("port", old.port == new.port),
            ("server_name", old.server_name == new.server_name),
            ("http", old.monitoring == new.monitoring),
            ("jetstream", old.jetstream == new.jetstream),
            ("tls", old.tls.is_some() == new.tls.is_some()),
            (
                "websocket",
                format!("{:?}", old.websocket) == format!("{:?}", new.websocket),
            ),
            (
                "leafnodes",
                format!("{:?}", old.leaf) == format!("{:?}", new.leaf),
            ),
            ("operator", old.operator == new.operator),
            ("auth_callout", old.callout == new.callout),
            ("proxy_protocol", old.proxy_protocol == new.proxy_protocol),
        ];
        match fixed.iter().find(|(_, is_same)| !is_same) {
            Some((name, _)) => Err(format!(
                "config reload not supported for {name}: restart to change it"
            )),
            None => Ok(()),
        }
    }

    fn reload_tls(&self, new: &Options) -> Result<(), String> {
        let websocket = new.websocket.as_ref().and_then(|block| block.tls.as_ref());
        let all = [
            (&self.tls.clients, new.tls.as_ref()),
            (&self.tls.websocket, websocket),
        ];
        for (open, config) in all {
            if let (Some(open), Some(config)) = (open, config) {
                open.reload(config).map_err(|error| chain(&error))?;
                tracing::info!("Reloaded: tls");
            }
        }
        Ok(())
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

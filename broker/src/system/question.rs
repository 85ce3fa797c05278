//! What can be asked, by subject.

/// A question to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServerQuestion {
    Statsz,
    Idz,
    Varz,
    Connz,
    Subsz,
    Routez,
    Leafz,
    Gatewayz,
    Accountz,
    Jsz,
    Healthz,
    Raftz,
    /// Reads the configuration again.
    Reload,
    /// Closes a connection.
    Kick,
    /// Tells a client to go elsewhere.
    LameDuck,
}

/// A question about an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AccountQuestion {
    Connz,
    Subsz,
    Leafz,
    Jsz,
    Info,
    Conns,
    Statz,
}

/// Last tokens of `$SYS.REQ.SERVER.PING.>` and `$SYS.REQ.SERVER.{id}.>`.
pub(super) const OF_SERVER: [(&str, ServerQuestion); 15] = [
    ("STATSZ", ServerQuestion::Statsz),
    ("IDZ", ServerQuestion::Idz),
    ("VARZ", ServerQuestion::Varz),
    ("CONNZ", ServerQuestion::Connz),
    ("SUBSZ", ServerQuestion::Subsz),
    ("ROUTEZ", ServerQuestion::Routez),
    ("LEAFZ", ServerQuestion::Leafz),
    ("GATEWAYZ", ServerQuestion::Gatewayz),
    ("ACCOUNTZ", ServerQuestion::Accountz),
    ("JSZ", ServerQuestion::Jsz),
    ("HEALTHZ", ServerQuestion::Healthz),
    ("RAFTZ", ServerQuestion::Raftz),
    ("RELOAD", ServerQuestion::Reload),
    ("KICK", ServerQuestion::Kick),
    ("LDM", ServerQuestion::LameDuck),
];

/// Last tokens of `$SYS.REQ.ACCOUNT.{account}.>`.
pub(super) const OF_ACCOUNT: [(&str, AccountQuestion); 7] = [
    ("CONNZ", AccountQuestion::Connz),
    ("SUBSZ", AccountQuestion::Subsz),
    ("LEAFZ", AccountQuestion::Leafz),
    ("JSZ", AccountQuestion::Jsz),
    ("INFO", AccountQuestion::Info),
    ("CONNS", AccountQuestion::Conns),
    ("STATZ", AccountQuestion::Statz),
];

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question<'a> {
    /// To this server, or to all servers that the filter in the body fits.
    Server { what: ServerQuestion, is_ping: bool },
    /// About one account.
    Account {
        what: AccountQuestion,
        name: &'a str,
    },
}

impl<'a> Question<'a> {
    /// Reads the subject of a request. `None`: there is no such question.
    pub(super) fn read(subject: &'a str) -> Option<Self> {
        let rest = subject.strip_prefix("$SYS.REQ.")?;
        if let Some(rest) = rest.strip_prefix("ACCOUNT.") {
            let (name, what) = rest.rsplit_once('.')?;
            let (_, what) = OF_ACCOUNT.iter().find(|(token, _)| *token == what)?;
            return Some(Self::Account { what: *what, name });
        }
        let rest = rest.strip_prefix("SERVER.")?;
        if rest == "PING" {
            return Some(Self::Server {
                what: ServerQuestion::Statsz,
                is_ping: true,
            });
        }
        let (server, what) = rest.split_once('.')?;
        let (_, what) = OF_SERVER.iter().find(|(token, _)| *token == what)?;
        Some(Self::Server {
            what: *what,
            is_ping: server == "PING",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_questions() {
        let server = |what, is_ping| Some(Question::Server { what, is_ping });
        for (subject, expected) in [
            ("$SYS.REQ.SERVER.PING", server(ServerQuestion::Statsz, true)),
            (
                "$SYS.REQ.SERVER.PING.VARZ",
                server(ServerQuestion::Varz, true),
            ),
            (
                "$SYS.REQ.SERVER.NABC.KICK",
                server(ServerQuestion::Kick, false),
            ),
            ("$SYS.REQ.SERVER.PING.NOPE", None),
            ("$SYS.REQ.SERVER.NABC", None),
            ("$SYS.REQ.ACCOUNT.A", None),
            (
                "$SYS.REQ.ACCOUNT.A.INFO",
                Some(Question::Account {
                    what: AccountQuestion::Info,
                    name: "A",
                }),
            ),
            ("$SYS.ACCOUNT.A.INFO", None),
        ] {
            assert_eq!(Question::read(subject), expected, "{subject}");
        }
    }
}

//! From a question to the body of its answer.

use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use super::block::{ServerBlock, host};
use super::door::Asked;
use super::events;
use super::options::{self, Filter};
use super::question::{AccountQuestion, Question, ServerQuestion};
use crate::monitor::{
    AccStatz, AccountDetail, Accountz, CloseReason, Connz, ConnzOptions, Gatewayz, Healthz, Jsz,
    JszAccount, Leafz, NotPossible, Routez, Statsz, Subsz, SubszOptions, Varz,
};
use crate::server::Shared;
use crate::session::state::write_info;

/// The answer to nearly everything.
#[derive(Serialize)]
struct Answer {
    server: ServerBlock,
    #[serde(skip_serializing_if = "Data::is_absent")]
    data: Data,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorPart>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Data {
    Some(Box<RawValue>),
    Null(()),
    #[serde(skip)]
    Absent,
}

impl Data {
    fn is_absent(&self) -> bool {
        matches!(self, Self::Absent)
    }
}

#[derive(Serialize)]
struct ErrorPart {
    code: u16,
    description: String,
}

#[derive(Serialize)]
struct StatszAnswer {
    server: ServerBlock,
    statsz: Statsz,
}

#[derive(Serialize)]
struct Idz<'a> {
    name: &'a str,
    host: String,
    id: &'a str,
}

/// Why there is no data.
enum Refusal {
    /// The body cannot be read.
    Body(serde_json::Error),
    /// What is asked is not possible.
    NotPossible(NotPossible),
    /// What was to be done is not done.
    Failed(String),
    /// Nobody is to say anything.
    Silence,
}

impl From<serde_json::Error> for Refusal {
    fn from(error: serde_json::Error) -> Self {
        Self::Body(error)
    }
}

impl From<NotPossible> for Refusal {
    fn from(error: NotPossible) -> Self {
        Self::NotPossible(error)
    }
}

type Made = Result<Box<RawValue>, Refusal>;

fn raw(value: &impl Serialize) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("monitoring is plain data")
}

fn body(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("monitoring is plain data")
}

/// The body of the answer; `None`: there is none.
pub(super) async fn to(server: &Arc<Shared>, asked: &Asked) -> Option<Vec<u8>> {
    let subject = std::str::from_utf8(&asked.subject).ok()?;
    let question = Question::read(subject)?;
    if let Question::Server { is_ping: true, .. } = question
        && asked.is_system
        && let Ok(filter) = options::read::<Filter>(&asked.payload)
        && !filter.fits(server)
    {
        return None;
    }
    let made = match question {
        Question::Server { what, .. } if asked.is_system => match what {
            ServerQuestion::Statsz => {
                return Some(body(&StatszAnswer {
                    server: server.system.block(server),
                    statsz: Statsz::of(server),
                }));
            }
            ServerQuestion::Idz => {
                return Some(body(&Idz {
                    name: &server.config.server_name,
                    host: host(server),
                    id: &server.server_id,
                }));
            }
            ServerQuestion::Reload | ServerQuestion::Kick | ServerQuestion::LameDuck => {
                return Some(body(&done(server, act(server, what, &asked.payload).await)));
            }
            what => of_server(server, what, &asked.payload).await,
        },
        // Of the questions to servers this one is open to all accounts, and is about theirs alone.
        Question::Server { .. } => {
            of_account(server, AccountQuestion::Connz, &asked.account, asked).await
        }
        Question::Account { what, .. } if !asked.is_system => {
            of_account(server, what, &asked.account, asked).await
        }
        Question::Account { what, name } => {
            if what == AccountQuestion::Conns {
                let account = server.known_account(name)?;
                return Some(body(&events::connections(server, &account)));
            }
            of_account(server, what, name, asked).await
        }
    };
    let (data, error) = match made {
        Ok(data) => (Data::Some(data), None),
        Err(Refusal::Silence) => return None,
        Err(Refusal::Body(error)) => (Data::Absent, Some(refused(400, error.to_string()))),
        Err(Refusal::NotPossible(error)) => (Data::Null(()), Some(refused(500, error.to_string()))),
        Err(Refusal::Failed(text)) => (Data::Null(()), Some(refused(500, text))),
    };
    Some(body(&Answer {
        server: server.system.block(server),
        data,
        error,
    }))
}

fn refused(code: u16, description: String) -> ErrorPart {
    ErrorPart { code, description }
}

async fn of_server(server: &Arc<Shared>, what: ServerQuestion, asked: &[u8]) -> Made {
    Ok(match what {
        ServerQuestion::Varz => {
            options::read::<Filter>(asked)?;
            raw(&Varz::of(server))
        }
        ServerQuestion::Connz => {
            let options = options::read::<options::Connz>(asked)?.try_into()?;
            raw(&Connz::of(server, &options)?)
        }
        ServerQuestion::Subsz => {
            let options = options::read::<options::Subsz>(asked)?.into();
            raw(&Subsz::of(server, &options)?)
        }
        ServerQuestion::Routez => raw(&Routez::of(server)),
        ServerQuestion::Gatewayz => raw(&Gatewayz::of(server)),
        ServerQuestion::Leafz => {
            let options: options::OfAccount = options::read(asked)?;
            let account = Some(options.account.as_str()).filter(|name| !name.is_empty());
            raw(&Leafz::of(server, account, options.subscriptions))
        }
        ServerQuestion::Accountz => {
            let options: options::OfAccount = options::read(asked)?;
            let account = Some(options.account.as_str()).filter(|name| !name.is_empty());
            raw(&Accountz::of(server, account)?)
        }
        ServerQuestion::Jsz => {
            let options = options::read::<options::Jsz>(asked)?.into();
            raw(&Jsz::of(server, &options).await)
        }
        ServerQuestion::Healthz => {
            let options = options::read::<options::Healthz>(asked)?.into();
            raw(&Healthz::of(server, &options))
        }
        ServerQuestion::Raftz => raw(&serde_json::Map::new()),
        ServerQuestion::Statsz
        | ServerQuestion::Idz
        | ServerQuestion::Reload
        | ServerQuestion::Kick
        | ServerQuestion::LameDuck => return Err(Refusal::Silence),
    })
}

async fn of_account(
    server: &Arc<Shared>,
    what: AccountQuestion,
    name: &str,
    asked: &Asked,
) -> Made {
    let bytes = &asked.payload;
    Ok(match what {
        AccountQuestion::Connz => {
            let mut options: ConnzOptions = options::read::<options::Connz>(bytes)?.try_into()?;
            options.account = Some(name.to_owned());
            raw(&Connz::of(server, &options)?)
        }
        AccountQuestion::Subsz => {
            let mut options: SubszOptions = options::read::<options::Subsz>(bytes)?.into();
            options.account = Some(name.to_owned());
            options.subscriptions = true;
            raw(&Subsz::of(server, &options)?)
        }
        AccountQuestion::Leafz => {
            let options: options::OfAccount = options::read(bytes)?;
            raw(&Leafz::of(server, Some(name), options.subscriptions))
        }
        AccountQuestion::Jsz => {
            let options = options::read::<options::Jsz>(bytes)?.into();
            raw(&JszAccount::named(server, name, &options).await?)
        }
        AccountQuestion::Info => raw(&AccountDetail::named(server, name)?),
        AccountQuestion::Statz if asked.is_system && name == "PING" => {
            let options = options::read::<options::AccStatz>(bytes)?.into();
            raw(&AccStatz::of(server, &options))
        }
        AccountQuestion::Statz => {
            let account = server.known_account(name).ok_or(Refusal::Silence)?;
            raw(&AccStatz::of_one(server, &account))
        }
        AccountQuestion::Conns => return Err(Refusal::Silence),
    })
}

/// Does what is asked rather than telling something.
async fn act(server: &Arc<Shared>, what: ServerQuestion, asked: &[u8]) -> Result<(), Refusal> {
    if what == ServerQuestion::Reload {
        return server.system.reload().await.map_err(Refusal::Failed);
    }
    // Without a body nothing is meant, and nothing is done.
    let options: options::OfConnection = serde_json::from_slice(asked)?;
    let connection = server.open_connection(options.cid);
    match (what, connection) {
        (ServerQuestion::Kick, Some(connection)) => connection.close(CloseReason::Kicked),
        (ServerQuestion::Kick, None) => {
            return Err(Refusal::Failed("no such client or leafnode id".to_owned()));
        }
        (_, Some(connection)) => {
            let mut info = server.info(&connection);
            info.ldm = true;
            connection.push(|out| write_info(&info, out));
        }
        (_, None) => return Err(Refusal::Failed("no such client id".to_owned())),
    }
    Ok(())
}

fn done(server: &Shared, done: Result<(), Refusal>) -> Answer {
    let error = match done {
        Ok(()) | Err(Refusal::Silence) => None,
        Err(Refusal::Body(error)) => Some(refused(400, error.to_string())),
        Err(Refusal::NotPossible(error)) => Some(refused(500, error.to_string())),
        Err(Refusal::Failed(text)) => Some(refused(500, text)),
    };
    Answer {
        server: server.system.block(server),
        data: Data::Absent,
        error,
    }
}

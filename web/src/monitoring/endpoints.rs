//! One endpoint each: which parameters it takes, and what it answers.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use broker::{
    AccStatzOptions, ConnState, ConnzOptions, ConnzSort, HealthzOptions, JszOptions, NotPossible,
    Server, Subscriptions, SubszOptions,
};
use serde::Serialize;

use super::query::{BadQuery, Query};
use super::text;

/// An endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Endpoint {
    Varz,
    Connz,
    Subsz,
    Jsz,
    Accountz,
    AccStatz,
    Leafz,
    Routez,
    Gatewayz,
    Raftz,
    Healthz,
}

/// Where each of them is.
pub(super) const ALL: [(&str, Endpoint); 12] = [
    ("/varz", Endpoint::Varz),
    ("/connz", Endpoint::Connz),
    ("/subsz", Endpoint::Subsz),
    ("/subscriptionsz", Endpoint::Subsz),
    ("/jsz", Endpoint::Jsz),
    ("/accountz", Endpoint::Accountz),
    ("/accstatz", Endpoint::AccStatz),
    ("/leafz", Endpoint::Leafz),
    ("/routez", Endpoint::Routez),
    ("/gatewayz", Endpoint::Gatewayz),
    ("/raftz", Endpoint::Raftz),
    ("/healthz", Endpoint::Healthz),
];

impl From<NotPossible> for BadQuery {
    fn from(error: NotPossible) -> Self {
        Self(error.to_string())
    }
}

impl Endpoint {
    /// The name that `http_req_stats` counts it under.
    fn name(self) -> &'static str {
        match self {
            Self::Varz => "/varz",
            Self::Connz => "/connz",
            Self::Subsz => "/subsz",
            Self::Jsz => "/jsz",
            Self::Accountz => "/accountz",
            Self::AccStatz => "/accstatz",
            Self::Leafz => "/leafz",
            Self::Routez => "/routez",
            Self::Gatewayz => "/gatewayz",
            Self::Raftz => "/raftz",
            Self::Healthz => "/healthz",
        }
    }

    pub(super) async fn answer(self, server: &Server, uri: &Uri) -> Response {
        server.count_http_request(self.name());
        match self.make(server, &Query::of(uri)).await {
            Ok(response) => response,
            Err(BadQuery(why)) => text(StatusCode::BAD_REQUEST, why),
        }
    }

    async fn make(self, server: &Server, query: &Query<'_>) -> Result<Response, BadQuery> {
        Ok(match self {
            Self::Varz => pretty(&server.varz()),
            Self::Connz => pretty(&server.connz(&connz(query)?)?),
            Self::Subsz => pretty(&server.subsz(&subsz(query)?)?),
            Self::Jsz => pretty(&server.jsz(&jsz(query)?).await),
            Self::Accountz => pretty(&server.accountz(query.some("acc").as_deref())?),
            Self::AccStatz => pretty(&server.accstatz(&AccStatzOptions {
                accounts: Vec::new(),
                include_unused: query.bool("unused")?,
            })),
            Self::Leafz => {
                let subscriptions = query.bool("subs")?;
                pretty(&server.leafz(query.some("acc").as_deref(), subscriptions))
            }
            Self::Routez => {
                query.bool("subs")?;
                pretty(&server.routez())
            }
            Self::Gatewayz => {
                query.bool("accs")?;
                pretty(&server.gatewayz())
            }
            Self::Raftz => text(StatusCode::NOT_FOUND, "No Raft nodes registered".to_owned()),
            Self::Healthz => health(server, &healthz(query)?),
        })
    }
}

/// The answer of `/healthz`: on one line, with its status as that of the response.
fn health(server: &Server, options: &HealthzOptions) -> Response {
    let answer = server.healthz(options);
    let status = StatusCode::from_u16(answer.status_code());
    let body = serde_json::to_vec(&answer.for_http()).expect("health is plain data");
    let mut response = json(body);
    *response.status_mut() = status.unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    response
}

fn connz(query: &Query<'_>) -> Result<ConnzOptions, BadQuery> {
    let state = query.text("state");
    Ok(ConnzOptions {
        sort: ConnzSort::parse(query.text("sort"))?,
        auth: query.bool("auth")?,
        subscriptions: match query.text("subs") {
            text if text.eq_ignore_ascii_case("detail") => Subscriptions::Details,
            _ if query.bool("subs")? => Subscriptions::Subjects,
            _ => Subscriptions::No,
        },
        offset: query.int("offset")?,
        limit: query.int("limit")?,
        cid: Some(query.uint("cid")?).filter(|cid| *cid > 0),
        state: match state.to_ascii_lowercase().as_str() {
            "" | "open" => ConnState::Open,
            "closed" => ConnState::Closed,
            "any" | "all" => ConnState::All,
            _ => return Err(BadQuery(format!("Error decoding state for {state}"))),
        },
        user: query.some("user"),
        account: query.some("acc"),
        mqtt_client: query.some("mqtt_client"),
    })
}

fn subsz(query: &Query<'_>) -> Result<SubszOptions, BadQuery> {
    Ok(SubszOptions {
        subscriptions: query.bool("subs")?,
        offset: query.int("offset")?,
        limit: query.int("limit")?,
        account: query.some("acc"),
        test: query.some("test"),
    })
}

fn jsz(query: &Query<'_>) -> Result<JszOptions, BadQuery> {
    // A server alone leads everything: these are read so that mistakes in them are found.
    for name in ["leader-only", "stream-leader-only", "direct-consumers"] {
        query.bool(name)?;
    }
    Ok(JszOptions {
        account: query.some("acc"),
        accounts: query.bool("accounts")?,
        streams: query.bool("streams")?,
        consumers: query.bool("consumers")?,
        config: query.bool("config")?,
        raft: query.bool("raft")?,
        offset: query.int("offset")?,
        limit: query.int("limit")?,
    })
}

fn healthz(query: &Query<'_>) -> Result<HealthzOptions, BadQuery> {
    query.bool("js-meta-only")?;
    // The first is the old name of the second.
    let js_enabled = [query.bool("js-enabled")?, query.bool("js-enabled-only")?];
    Ok(HealthzOptions {
        js_enabled_only: js_enabled.contains(&true),
        js_server_only: query.bool("js-server-only")?,
        account: query.text("account").to_owned(),
        stream: query.text("stream").to_owned(),
        consumer: query.text("consumer").to_owned(),
        details: query.bool("details")?,
    })
}

/// JSON on many lines, for people as much as for programs.
fn pretty(value: &impl Serialize) -> Response {
    json(serde_json::to_vec_pretty(value).expect("monitoring is plain data"))
}

/// Pages of any origin may read it: so does nats-server, and dashboards depend on it.
fn json(body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_ORIGIN,
        HeaderValue::from_static("*"),
    );
    response
}

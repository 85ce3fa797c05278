//! Who may look at the monitoring endpoints of the appliance.
//!
//! There they share the port with the web client, which the whole world may reach, and they show who is connected from
//! where and which subjects people use. So, unless told otherwise, only this machine is answered:
//!
//! - The socket's other end must be a loopback address, or in one of the networks the operator named.
//! - A request that came through a proxy is a stranger's, although the proxy may run on this machine: whoever it is, a
//!   proxy says so with `Forwarded`, `X-Forwarded-For` or `Via`. And whatever a proxy is told to serve is asked for under the
//!   public name, so a request from loopback must name this machine as itself.
//! - A page in a browser on this machine comes from loopback too. A browser says which page asks (`Origin`,
//!   `Sec-Fetch-Site`), and a page that made its own name point here is found out by the name. Nor is any page allowed to
//!   read an answer: there is no `Access-Control-Allow-Origin` here.
//!
//! Everybody else gets 404, as for any path that is not there. `/healthz` answers strangers too, with its status alone.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use broker::{HealthzOptions, Server};
use ipnet::IpNet;

use super::endpoints::{self, Endpoint};
use crate::app::Peer;
use crate::reply;

/// The monitoring endpoints on a port that strangers reach.
#[derive(Debug, Clone)]
pub struct Access {
    broker: Server,
    networks: Arc<[IpNet]>,
}

impl Access {
    /// For requests from this machine, and from `networks`.
    pub fn new(broker: Server, networks: impl IntoIterator<Item = IpNet>) -> Self {
        Self {
            broker,
            networks: networks.into_iter().collect(),
        }
    }

    /// All endpoints but the index, which is the web client's place.
    pub(crate) fn routes(&self) -> Router {
        let broker = Arc::new(self.broker.clone());
        let mut router = Router::new().route("/metrics", super::metrics_route(&broker));
        for (path, endpoint) in endpoints::ALL {
            if endpoint != Endpoint::Healthz {
                router = router.route(path, super::route(&broker, endpoint));
            }
        }
        router.layer(middleware::from_fn_with_state(self.clone(), guard))
    }

    fn allows(&self, peer: SocketAddr, request: &Request) -> bool {
        let headers = request.headers();
        let comes_through_a_proxy = ["forwarded", "x-forwarded-for", "x-real-ip", "via"]
            .iter()
            .any(|name| headers.contains_key(*name));
        if comes_through_a_proxy || comes_from_a_page(headers) {
            return false;
        }
        let address = peer.ip().to_canonical();
        let is_named = self.networks.iter().any(|net| net.contains(&address));
        is_named || (address.is_loopback() && names_this_machine(request))
    }
}

/// A browser tells which page a request is for; one that somebody typed is for none.
fn comes_from_a_page(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site");
    let is_cross = site.is_some_and(|site| site != "none" && site != "same-origin");
    is_cross || headers.contains_key(header::ORIGIN)
}

/// Whether the request was made to `localhost` or a loopback address.
fn names_this_machine(request: &Request) -> bool {
    let host = match request.uri().authority() {
        Some(authority) => Some(authority.as_str()),
        None => request
            .headers()
            .get(header::HOST)
            .and_then(|host| host.to_str().ok()),
    };
    let Some(host) = host else { return false };
    let without_port = |host: &str| match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name.to_owned(),
        _ => host.to_owned(),
    };
    let name = if host.ends_with(']') {
        host.to_owned()
    } else {
        without_port(host)
    };
    let address = name.trim_start_matches('[').trim_end_matches(']');
    let is_loopback = |address: std::net::IpAddr| address.to_canonical().is_loopback();
    name.eq_ignore_ascii_case("localhost") || address.parse().is_ok_and(is_loopback)
}

async fn guard(
    State(access): State<Access>,
    axum::Extension(peer): axum::Extension<Peer>,
    request: Request,
    next: Next,
) -> Response {
    if !access.allows(peer.0, &request) {
        return reply::text(StatusCode::NOT_FOUND, "There is nothing here.");
    }
    let mut response = next.run(request).await;
    response
        .headers_mut()
        .remove(header::ACCESS_CONTROL_ALLOW_ORIGIN);
    response
}

/// `/healthz`: for those who may look as the endpoint of its own port, for everybody else the status alone.
pub(crate) async fn healthz(access: &Access, peer: Peer, request: Request) -> Response {
    if access.allows(peer.0, &request) {
        let answer = Endpoint::Healthz.answer(&access.broker, request.uri());
        let mut response = answer.await;
        response
            .headers_mut()
            .remove(header::ACCESS_CONTROL_ALLOW_ORIGIN);
        return response;
    }
    let health = access.broker.healthz(&HealthzOptions::default());
    let status = StatusCode::from_u16(health.status_code());
    reply::json(
        status.unwrap_or(StatusCode::SERVICE_UNAVAILABLE),
        &health.for_strangers(),
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::body::Body;
    use broker::{AllowAll, Config};

    use super::*;

    #[track_caller]
    fn check(networks: &[&str], peer: &str, headers: &[(&str, &str)], expected: bool) {
        let server = Server::new(Config::default(), Arc::new(AllowAll::new("A")), None);
        let access = Access::new(server, networks.iter().map(|text| text.parse().unwrap()));
        let mut request = Request::get("/varz");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        let peer: SocketAddr = peer.parse().unwrap();
        assert_eq!(
            access.allows(peer, &request),
            expected,
            "{peer} {headers:?}"
        );
    }

    const LOCAL: (&str, &str) = ("host", "localhost:8080");

    #[test]
    fn this_machine_is_answered_and_strangers_are_not() {
        for (host, expected) in [
            ("localhost", true),
            ("LOCALHOST:8080", true),
            ("127.0.0.1:8080", true),
            ("[::1]:8080", true),
            ("[::1]", true),
            ("chat.example.org", false),
            ("localhost.example.org", false),
            ("192.0.2.1:8080", false),
        ] {
            check(&[], "127.0.0.1:5", &[("host", host)], expected);
        }
        check(&[], "[::ffff:127.0.0.1]:5", &[LOCAL], true);
        check(&[], "192.0.2.7:5", &[LOCAL], false);
        check(&[], "127.0.0.1:5", &[], false);
    }

    #[test]
    fn a_proxy_on_this_machine_brings_strangers() {
        for header in ["Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"] {
            check(&[], "127.0.0.1:5", &[LOCAL, (header, "192.0.2.7")], false);
        }
        let named = ("x-forwarded-for", "192.0.2.7");
        check(&["192.0.2.0/24"], "192.0.2.7:5", &[named], false);
    }

    #[test]
    fn pages_in_a_browser_here_may_not_look() {
        let page = ("origin", "https://evil.example");
        check(&[], "127.0.0.1:5", &[LOCAL, page], false);
        let cross = ("sec-fetch-site", "cross-site");
        check(&[], "127.0.0.1:5", &[LOCAL, cross], false);
        let typed = ("sec-fetch-site", "none");
        check(&[], "127.0.0.1:5", &[LOCAL, typed], true);
    }

    #[test]
    fn named_networks_may_look_by_any_name() {
        let host = ("host", "chat.example.org");
        check(&["192.0.2.0/24"], "192.0.2.7:5", &[host], true);
        check(&["192.0.2.0/24"], "192.0.3.7:5", &[host], false);
    }
}

//! Who may ask for tokens: the registered OIDC clients and where they may be sent back to.

/// A public client; PKCE takes the place of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcClient {
    /// The `client_id`.
    pub id: String,
    /// Where an answer may be sent.
    pub redirects: Redirects,
    /// Origins that may call the token endpoint with credentials and open a WebSocket, beside our own.
    pub web_origins: Vec<String>,
    /// Whether a request without PKCE is refused. With PKCE the verifier is always checked.
    pub pkce_required: bool,
    /// Whether the password grant is allowed.
    pub password_grant: bool,
}

/// Where a client may be sent back to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redirects {
    /// Any page of the appliance itself.
    SameOrigin,
    /// These addresses; one that ends in `/*` stands for every path below it.
    Listed(Vec<String>),
}

/// The client id of the embedded web client.
pub const WEB_CLIENT_ID: &str = "natterjack-web";
/// The client id that web clients of the old system are built for.
pub const DEMO_CLIENT_ID: &str = "nats-chat-app";
/// The realm that web clients of the old system are built for.
pub const DEMO_REALM: &str = "nats-chat";

/// Where web clients of the old system are served in development.
const DEMO_ORIGINS: [&str; 3] = [
    "http://localhost:3000",
    "http://localhost:5173",
    "http://localhost:30000",
];

impl OidcClient {
    /// The embedded web client.
    #[must_use]
    pub fn web() -> Self {
        Self {
            id: WEB_CLIENT_ID.to_owned(),
            redirects: Redirects::SameOrigin,
            web_origins: Vec::new(),
            pkce_required: true,
            password_grant: false,
        }
    }

    /// The old system's client, for the demo only.
    #[must_use]
    pub fn demo() -> Self {
        Self {
            id: DEMO_CLIENT_ID.to_owned(),
            redirects: Redirects::Listed(
                DEMO_ORIGINS
                    .iter()
                    .map(|origin| format!("{origin}/*"))
                    .collect(),
            ),
            web_origins: DEMO_ORIGINS.map(str::to_owned).to_vec(),
            pkce_required: false,
            password_grant: true,
        }
    }

    /// Whether an answer may be sent to `uri`; `origin` is the appliance's own.
    #[must_use]
    pub fn allows_redirect(&self, uri: &str, origin: &str) -> bool {
        if !is_plain(uri) {
            return false;
        }
        match &self.redirects {
            Redirects::SameOrigin => is_below(uri, origin),
            Redirects::Listed(patterns) => {
                patterns
                    .iter()
                    .any(|pattern| match pattern.strip_suffix("/*") {
                        Some(base) => is_below(uri, base),
                        None => uri == pattern,
                    })
            }
        }
    }
}

/// `base` itself, or something under `base/`. A prefix alone would let `http://localhost:30000.example` pass.
fn is_below(uri: &str, base: &str) -> bool {
    uri.strip_prefix(base)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
}

/// No fragment (RFC 6749 section 3.1.2), no backslashes, blanks or control characters that browsers read differently,
/// and no dot segments that would climb out of a listed path.
fn is_plain(uri: &str) -> bool {
    let bytes_fine = uri.len() <= 2048
        && uri
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"\\#\"<>".contains(&byte));
    let path = uri.split('?').next().unwrap_or_default();
    let decoded = path.to_ascii_lowercase().replace("%2e", ".");
    bytes_fine
        && !decoded
            .split(['/'])
            .any(|segment| segment == "." || segment == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: &str = "http://localhost:8080";

    #[track_caller]
    fn check(client: &OidcClient, uri: &str, expected: bool) {
        assert_eq!(client.allows_redirect(uri, OWN), expected, "{uri}");
    }

    #[test]
    fn the_web_client_stays_at_home() {
        let client = OidcClient::web();
        for good in [
            "http://localhost:8080",
            "http://localhost:8080/",
            "http://localhost:8080/callback?x=1",
        ] {
            check(&client, good, true);
        }
        for bad in [
            "",
            "/",
            "//localhost:8080/",
            "https://localhost:8080/",
            "http://localhost:80800/",
            "http://localhost:8080.example/",
            "http://localhost:8080@example/",
            "http://localhost:8080#x",
            "http://localhost:8080/\\example",
            "http://localhost:8080/a b",
            "http://localhost:3000/",
            "javascript:alert(1)",
        ] {
            check(&client, bad, false);
        }
    }

    #[test]
    fn the_demo_client_goes_to_the_contracts_places() {
        let client = OidcClient::demo();
        for good in [
            "http://localhost:3000/",
            "http://localhost:5173/a/b?c",
            "http://localhost:30000",
        ] {
            check(&client, good, true);
        }
        for bad in [
            "http://localhost:30001/",
            "http://localhost:3000.evil/",
            "http://localhost:3000@evil/",
            "http://127.0.0.1:3000/",
            "http://localhost:3000/../x",
            "http://localhost:3000/%2E%2e/x",
            "http://localhost:8080/",
        ] {
            check(&client, bad, false);
        }
    }

    #[test]
    fn an_address_without_a_star_is_exact() {
        let client = OidcClient {
            redirects: Redirects::Listed(vec!["https://app.example/back".to_owned()]),
            ..OidcClient::web()
        };
        check(&client, "https://app.example/back", true);
        check(&client, "https://app.example/back/", false);
        check(&client, "https://app.example/back?x", false);
    }
}

//! The authorization endpoint and the sign-in form behind it.
//!
//! Nothing is remembered between the two: the form carries the client's request in its own address, and it is checked
//! again when it comes back.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Request, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use services::identity::{AuthorizeRequest, OauthError, OidcClient, Session, SignInError};
use url::form_urlencoded;

use super::{Cookies, SESSION, discovery, set_session};
use crate::app::{App, Origin, Peer};
use crate::form::Fields;
use crate::pages::login::{self, LoginPage};
use crate::{pages, reply};

/// How the answer travels back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ResponseMode {
    Query,
    Fragment,
}

/// A request whose client and address to return to are good: errors go there from here on.
struct Asked<'a> {
    app: &'a App,
    origin: &'a Origin,
    client: &'a OidcClient,
    request: AuthorizeRequest,
    mode: ResponseMode,
    state: Option<String>,
    fields: Fields,
    query: String,
}

/// `GET …/auth`: straight back for who is signed in, else the sign-in page.
pub(crate) async fn ask(
    State(app): State<Arc<App>>,
    Path(realm): Path<String>,
    Extension(origin): Extension<Origin>,
    request: Request,
) -> Response {
    let query = request.uri().query().unwrap_or_default().to_owned();
    answer(&app, &realm, &origin, query, request.headers()).await
}

/// `POST …/auth`: the same with the parameters in a form (OpenID Connect Core section 3.1.2.1).
pub(crate) async fn ask_by_form(
    State(app): State<Arc<App>>,
    Path(realm): Path<String>,
    Extension(origin): Extension<Origin>,
    request: Request,
) -> Response {
    let headers = request.headers().clone();
    match axum::body::to_bytes(request.into_body(), crate::limits::FORM_BYTES_MAX).await {
        Ok(body) => match String::from_utf8(body.to_vec()) {
            Ok(query) => answer(&app, &realm, &origin, query, &headers).await,
            Err(_) => reply::text(StatusCode::BAD_REQUEST, "The form is not text."),
        },
        Err(_) => reply::text(
            StatusCode::PAYLOAD_TOO_LARGE,
            "The form is too large or broke off.",
        ),
    }
}

async fn answer(
    app: &App,
    realm: &str,
    origin: &Origin,
    query: String,
    headers: &HeaderMap,
) -> Response {
    let asked = match Asked::check(app, realm, origin, query) {
        Ok(asked) => asked,
        Err(refusal) => return *refusal,
    };
    let session = match asked.session(headers).await {
        Ok(session) => session,
        Err(error) => return asked.refuse(&error.into()),
    };
    let prompt = |word: &str| {
        asked
            .fields
            .text("prompt")
            .split(' ')
            .any(|asked| asked == word)
    };
    let must_sign_in = prompt("login") || prompt("select_account");
    match session.filter(|session| !must_sign_in && asked.is_fresh_enough(session)) {
        Some(session) => asked.grant(&session),
        None if prompt("none") => {
            asked.refuse(&oauth_error("login_required", "nobody is signed in"))
        }
        None => {
            let username = asked.fields.text("login_hint").to_owned();
            asked
                .show(
                    headers,
                    StatusCode::OK,
                    LoginPage {
                        username,
                        ..LoginPage::default()
                    },
                )
                .await
        }
    }
}

/// The sign-in form comes back.
pub(crate) async fn sign_in(
    State(app): State<Arc<App>>,
    Path(realm): Path<String>,
    Extension(peer): Extension<Peer>,
    Extension(origin): Extension<Origin>,
    request: Request,
) -> Response {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let headers = request.headers().clone();
    let asked = match Asked::check(&app, &realm, &origin, query) {
        Ok(asked) => asked,
        Err(refusal) => return *refusal,
    };
    let form = match Fields::of_body(request).await {
        Ok(form) => form,
        Err(refusal) => return refusal,
    };
    let username = form.text("username").trim().to_owned();
    let again = |status, problem| {
        let page = LoginPage {
            username: username.clone(),
            problem: Some(problem),
        };
        asked.show(&headers, status, page)
    };
    if !app.csrf.is_good(form.text("form"), &headers, &origin) {
        return again(StatusCode::BAD_REQUEST, login::Problem::Stale).await;
    }
    if username.is_empty() {
        return again(StatusCode::UNPROCESSABLE_ENTITY, login::Problem::NoUsername).await;
    }
    let address = app.caller(&origin, peer, &headers).address;
    match app
        .identity
        .sign_in(&username, form.text("password"), address)
        .await
    {
        Ok(signed_in) => {
            let mut response = asked.grant(&signed_in.session);
            set_session(&mut response, &signed_in, &origin);
            response
        }
        Err(SignInError::Wrong) => again(StatusCode::UNAUTHORIZED, login::Problem::Wrong).await,
        Err(SignInError::Disabled) => again(StatusCode::FORBIDDEN, login::Problem::Disabled).await,
        Err(SignInError::TooManyAttempts { wait }) => {
            again(StatusCode::TOO_MANY_REQUESTS, login::Problem::Wait(wait)).await
        }
        Err(SignInError::Failed(services::identity::Error::Busy)) => {
            again(StatusCode::SERVICE_UNAVAILABLE, login::Problem::Busy).await
        }
        Err(error) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "cannot decide about a sign-in"
            );
            again(StatusCode::INTERNAL_SERVER_ERROR, login::Problem::Ours).await
        }
    }
}

impl<'a> Asked<'a> {
    /// Refusals that must not go to an address nobody vouches for are pages.
    fn check(
        app: &'a App,
        realm: &str,
        origin: &'a Origin,
        query: String,
    ) -> Result<Self, Box<Response>> {
        if realm != app.identity.config().realm {
            return Err(Box::new(discovery::unknown_realm()));
        }
        let page = |text: &str| {
            Box::new(pages::problem(
                StatusCode::BAD_REQUEST,
                "This link does not work",
                text,
            ))
        };
        let fields = Fields::of_query(Some(&query))
            .map_err(|_| page("The link has a parameter twice, or too many."))?;
        let request = AuthorizeRequest {
            client_id: fields.text("client_id").to_owned(),
            redirect_uri: fields.text("redirect_uri").to_owned(),
            response_type: fields.text("response_type").to_owned(),
            scope: fields.text("scope").to_owned(),
            nonce: fields.owned("nonce"),
            code_challenge: fields.owned("code_challenge"),
            code_challenge_method: fields.owned("code_challenge_method"),
        };
        let checked = app.identity.check_redirect(&request, &origin.0);
        let client = checked.map_err(|error| page(&pages::sentence(&error.description)))?;
        let state = fields.owned("state");
        let mode = match fields.value("response_mode") {
            None | Some("query") => Ok(ResponseMode::Query),
            Some("fragment") => Ok(ResponseMode::Fragment),
            Some(_) => Err(oauth_error(
                "invalid_request",
                "response_mode must be query or fragment",
            )),
        };
        let (mode, bad_mode) = match mode {
            Ok(mode) => (mode, None),
            Err(error) => (ResponseMode::Query, Some(error)),
        };
        let asked = Self {
            app,
            origin,
            client,
            request,
            mode,
            state,
            fields,
            query,
        };
        if let Some(error) = bad_mode {
            return Err(Box::new(asked.refuse(&error)));
        }
        match app.identity.check_authorize(&asked.request, asked.client) {
            Ok(()) => Ok(asked),
            Err(error) => Err(Box::new(asked.refuse(&error))),
        }
    }

    async fn session(
        &self,
        headers: &HeaderMap,
    ) -> Result<Option<Session>, services::identity::Error> {
        match Cookies::of(headers, self.origin).value(SESSION) {
            Some(cookie) => self.app.identity.session_by_cookie(cookie).await,
            None => Ok(None),
        }
    }

    /// `max_age`: how long ago the password may have been typed.
    fn is_fresh_enough(&self, session: &Session) -> bool {
        let Some(max_age) = self
            .fields
            .value("max_age")
            .and_then(|age| age.parse::<i64>().ok())
        else {
            return true;
        };
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        let age = i64::try_from(now.as_millis())
            .unwrap_or(i64::MAX)
            .saturating_sub(session.signed_in_at);
        age <= max_age.saturating_mul(1000)
    }

    fn grant(&self, session: &Session) -> Response {
        match self.app.identity.issue_code(&self.request, session) {
            Ok(code) => self.send_back(&[("code", code.as_str()), ("session_state", &session.id)]),
            Err(error) => self.refuse(&error),
        }
    }

    fn refuse(&self, error: &OauthError) -> Response {
        self.send_back(&[
            ("error", error.code),
            ("error_description", &error.description),
        ])
    }

    /// Adds `state` and, against mix-ups, `iss` (RFC 9207).
    fn send_back(&self, answer: &[(&str, &str)]) -> Response {
        let issuer = self.app.identity.issuer(&self.origin.0);
        let mut encoded = form_urlencoded::Serializer::new(String::new());
        if let Some(state) = &self.state {
            encoded.append_pair("state", state);
        }
        let encoded = encoded
            .extend_pairs(answer)
            .append_pair("iss", &issuer)
            .finish();
        let uri = &self.request.redirect_uri;
        let separator = match self.mode {
            ResponseMode::Fragment => '#',
            ResponseMode::Query if uri.contains('?') => '&',
            ResponseMode::Query => '?',
        };
        reply::see_other(&format!("{uri}{separator}{encoded}"))
    }

    async fn show(&self, headers: &HeaderMap, status: StatusCode, page: LoginPage) -> Response {
        let (workspace, is_set_up) =
            match tokio::try_join!(self.app.identity.workspace(), self.app.identity.is_set_up()) {
                Ok(found) => found,
                Err(error) => return reply::failed(&error),
            };
        let token = self.app.csrf.token(headers, self.origin);
        let realm = &self.app.identity.config().realm;
        let action = format!(
            "/auth/realms/{realm}/login-actions/authenticate?{}",
            self.query
        );
        let body = page.html(&login::Frame {
            workspace: &workspace,
            is_set_up,
            action: &action,
            form: &token.field,
        });
        let target = url::Url::parse(&self.request.redirect_uri)
            .ok()
            .map(|url| url.origin().ascii_serialization());
        let mut response = pages::page(status, body, target.as_deref());
        if let Some(cookie) = token.cookie {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        response
    }
}

fn oauth_error(code: &'static str, description: &str) -> OauthError {
    OauthError {
        code,
        description: description.to_owned(),
    }
}

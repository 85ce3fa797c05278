//! First start: one page makes the administrator and names the workspace.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use services::identity::{Error, Setup, SetupError};

use super::{Body, Field, brand, hidden, page, problem, sentence};
use crate::app::{App, Origin};
use crate::form::Fields;
use crate::{oidc, reply};

/// Fills in a user name while the name is typed; the page works without it.
pub(crate) async fn script() -> Response {
    reply::typed(
        StatusCode::OK,
        "text/javascript; charset=utf-8",
        include_str!("setup.js"),
    )
}

/// What was typed, and what is wrong with it.
#[derive(Default)]
struct Typed {
    display_name: String,
    username: String,
    workspace: String,
    problem: Option<(&'static str, String)>,
}

/// `GET /setup?token=`.
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Extension(origin): Extension<Origin>,
    request: Request,
) -> Response {
    let fields = Fields::of_query(request.uri().query()).unwrap_or_default();
    let token = fields.text("token");
    match app.identity.check_setup(token).await {
        Ok(()) => form(
            &app,
            &origin,
            request.headers(),
            StatusCode::OK,
            token,
            &Typed::default(),
        ),
        Err(error) => refused(&error),
    }
}

/// `POST /setup`.
pub(crate) async fn submit(
    State(app): State<Arc<App>>,
    Extension(origin): Extension<Origin>,
    request: Request,
) -> Response {
    let headers = request.headers().clone();
    let fields = match Fields::of_body(request).await {
        Ok(fields) => fields,
        Err(refusal) => return refusal,
    };
    let token = fields.text("token");
    let text = |name: &str| fields.text(name).trim().to_owned();
    let typed = Typed {
        display_name: text("display_name"),
        username: text("username"),
        workspace: text("workspace"),
        problem: None,
    };
    let again = |problem| {
        let typed = Typed {
            problem: Some(problem),
            ..typed
        };
        form(
            &app,
            &origin,
            &headers,
            StatusCode::UNPROCESSABLE_ENTITY,
            token,
            &typed,
        )
    };
    if !app.csrf.is_good(fields.text("form"), &headers, &origin) {
        return again((
            "password",
            "This page was open for too long. Type your password once more.".to_owned(),
        ));
    }
    if text("display_name").is_empty() {
        return again(("display_name", "Type your name.".to_owned()));
    }
    let setup = Setup {
        token: token.to_owned(),
        display_name: text("display_name"),
        username: text("username"),
        password: fields.text("password").to_owned(),
        workspace: text("workspace"),
    };
    let admin = match app.identity.complete_setup(setup).await {
        Ok(admin) => admin,
        Err(error) => {
            return match at_field(&error) {
                Some(field) => again((field, sentence(&error.to_string()))),
                None => refused(&error),
            };
        }
    };
    match app.identity.start_browser_session(admin).await {
        Ok(signed_in) => {
            let mut response = reply::see_other(&format!("{}/", origin.0));
            oidc::set_session(&mut response, &signed_in, &origin);
            response
        }
        // The account exists; signing in leads on.
        Err(error) => reply::failed(&error),
    }
}

/// The field that an error belongs to.
fn at_field(error: &SetupError) -> Option<&'static str> {
    match error {
        SetupError::Workspace => Some("workspace"),
        SetupError::Account(Error::UserName(_) | Error::NameTaken { .. }) => Some("username"),
        SetupError::Account(Error::Password(_)) => Some("password"),
        SetupError::Account(Error::DisplayName) => Some("display_name"),
        _ => None,
    }
}

fn refused(error: &SetupError) -> Response {
    match error {
        SetupError::Done => problem(
            StatusCode::GONE,
            "Already set up",
            "This workspace has an administrator. Sign in, or ask them for an account.",
        ),
        SetupError::Link => problem(
            StatusCode::FORBIDDEN,
            "This link is not valid any more",
            "A setup link works once and for one hour. Restart natterjack: it prints a new one.",
        ),
        error => {
            tracing::error!(error = error as &dyn std::error::Error, "setup failed");
            problem(
                StatusCode::INTERNAL_SERVER_ERROR,
                "That did not work",
                "Something went wrong on our side. Try again.",
            )
        }
    }
}

fn form(
    app: &App,
    origin: &Origin,
    headers: &HeaderMap,
    status: StatusCode,
    token: &str,
    typed: &Typed,
) -> Response {
    let csrf = app.csrf.token(headers, origin);
    let wrong = typed.problem.as_ref().map(|(field, _)| *field);
    let field = |name, label, kind, value, autocomplete, hint, more| {
        let problem = typed.problem.as_ref().filter(|(field, _)| *field == name);
        Field {
            name,
            label,
            kind,
            value,
            autocomplete,
            hint,
            error: problem.map(|(_, text)| text.as_str()),
            more,
            has_focus: wrong.unwrap_or("display_name") == name,
        }
        .html()
    };
    let fields = [
        field("display_name", "Your name", "text", &typed.display_name, "name", "", r#"required maxlength="80""#),
        field(
            "username",
            "User name",
            "text",
            &typed.username,
            "username",
            "What you sign in with: a to z, digits and _.",
            r#"required maxlength="32" pattern="[a-z0-9_]+" title="Lower-case letters a to z, digits and _" autocapitalize="none" spellcheck="false""#,
        ),
        field(
            "password",
            "Password",
            "password",
            "",
            "new-password",
            "At least 8 characters.",
            r#"required minlength="8""#,
        ),
        field(
            "workspace",
            "Name of the workspace",
            "text",
            &typed.workspace,
            "organization",
            "Your team or company.",
            r#"required maxlength="60""#,
        ),
    ]
    .concat();
    let card = format!(
        r#"{brand}<section class="card"><h1>Set up your workspace</h1>
<p class="lead">You become its administrator.</p>
<form method="post" action="/setup">{token}{form}{fields}
<button class="button" type="submit">Start</button></form></section>"#,
        brand = brand("natterjack"),
        token = hidden("token", token),
        form = hidden("form", &csrf.field),
    );
    let body = Body {
        title: "Set up natterjack".to_owned(),
        card,
        script: Some("/auth/setup.js"),
    };
    let mut response = page(status, body, None);
    if let Some(cookie) = csrf.cookie {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

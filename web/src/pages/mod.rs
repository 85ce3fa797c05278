//! Server-made pages: sign-in, first start, signing out, trouble. No script is needed to use them.

pub(crate) mod login;
pub(crate) mod setup;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;

use crate::{assets, headers, reply};

/// The toad, as drawn for the product.
const TOAD: &str = include_str!("toad.svg");
const STYLE: &str = include_str!("pages.css");

/// What is inside a page: its title and the content of its card.
pub(crate) struct Body {
    pub(crate) title: String,
    pub(crate) card: String,
    /// A script of ours, by address.
    pub(crate) script: Option<&'static str>,
}

/// A whole page. `form_target` is the origin that a form on it may lead to, beside our own.
pub(crate) fn page(status: StatusCode, body: Body, form_target: Option<&str>) -> Response {
    // The theme somebody chose in the web client holds here too.
    let theme = if assets::has("theme.js") {
        r#"<script src="/theme.js"></script>"#
    } else {
        ""
    };
    let script = body
        .script
        .map(|src| format!(r#"<script src="{src}" defer></script>"#))
        .unwrap_or_default();
    let html = format!(
        r##"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>{title}</title>
<link rel="icon" href="/favicon.svg" type="image/svg+xml">
{theme}<link rel="stylesheet" href="/auth/pages.css">{script}
</head>
<body>
<main>{card}</main>
</body>
</html>
"##,
        title = escape(&body.title),
        card = body.card,
    );
    let mut response = reply::typed(status, "text/html; charset=utf-8", html);
    if let Ok(policy) = HeaderValue::from_str(&headers::page_policy(form_target)) {
        response
            .headers_mut()
            .insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// A page that says what happened and leads to the start.
pub(crate) fn problem(status: StatusCode, title: &str, text: &str) -> Response {
    let card = format!(
        r#"{brand}<section class="card"><h1>{title}</h1><p class="lead">{text}</p>
<a class="button" href="/">Go to the start</a></section>"#,
        brand = brand("natterjack"),
        title = escape(title),
        text = escape(text),
    );
    page(
        status,
        Body {
            title: title.to_owned(),
            card,
            script: None,
        },
        None,
    )
}

/// Asks whether to sign out.
pub(crate) fn logout_question(action: &str, form: &str, kept: &[(&str, &str)]) -> Body {
    let hidden: String = kept
        .iter()
        .chain(&[("form", form)])
        .map(|(name, value)| hidden(name, value))
        .collect();
    let card = format!(
        r#"{brand}<section class="card"><h1>Sign out?</h1>
<p class="lead">You will be signed out of every tab of this browser.</p>
<form method="post" action="{action}">{hidden}<button class="button" type="submit">Sign out</button>
<a class="quiet" href="/">Stay signed in</a></form></section>"#,
        brand = brand("natterjack"),
        action = escape(action),
    );
    Body {
        title: "Sign out".to_owned(),
        card,
        script: None,
    }
}

/// The toad and the name above a card.
pub(crate) fn brand(name: &str) -> String {
    format!(
        r#"<header class="brand">{TOAD}<span>{}</span></header>"#,
        escape(name)
    )
}

pub(crate) fn hidden(name: &str, value: &str) -> String {
    format!(
        r#"<input type="hidden" name="{}" value="{}">"#,
        escape(name),
        escape(value)
    )
}

/// One labelled field, with its hint or its error below it.
pub(crate) struct Field<'a> {
    pub(crate) name: &'a str,
    pub(crate) label: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) value: &'a str,
    pub(crate) autocomplete: &'a str,
    pub(crate) hint: &'a str,
    pub(crate) error: Option<&'a str>,
    /// Further attributes, ours.
    pub(crate) more: &'a str,
    pub(crate) has_focus: bool,
}

impl Field<'_> {
    pub(crate) fn html(&self) -> String {
        let Self {
            name,
            label,
            kind,
            autocomplete,
            more,
            ..
        } = self;
        let (note, described, invalid) = match self.error {
            Some(error) => (
                format!(
                    r#"<p class="error" id="{name}-error" role="alert">{}</p>"#,
                    escape(error)
                ),
                format!(r#" aria-describedby="{name}-error""#),
                r#" aria-invalid="true""#,
            ),
            None if self.hint.is_empty() => (String::new(), String::new(), ""),
            None => (
                format!(
                    r#"<p class="hint" id="{name}-hint">{}</p>"#,
                    escape(self.hint)
                ),
                format!(r#" aria-describedby="{name}-hint""#),
                "",
            ),
        };
        let focus = if self.has_focus { " autofocus" } else { "" };
        let value = if self.value.is_empty() {
            String::new()
        } else {
            format!(r#" value="{}""#, escape(self.value))
        };
        format!(
            r#"<div class="field"><label for="{name}">{label}</label>
<input id="{name}" name="{name}" type="{kind}" autocomplete="{autocomplete}"{value}{described}{invalid}{focus} {more}>{note}</div>"#
        )
    }
}

/// The stylesheet, with the font where the build put it.
pub(crate) async fn style() -> Response {
    let font = assets::font().map(|file| {
        format!(
            "@font-face{{font-family:\"Inter Variable\";src:url(\"/{file}\") format(\"woff2\");font-weight:100 900;\
             font-display:swap}}\n"
        )
    });
    let css = format!("{}{STYLE}", font.unwrap_or_default());
    let mut response = reply::typed(StatusCode::OK, "text/css; charset=utf-8", css);
    response
        .headers_mut()
        .insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// An error text as people read it: a capital first and a full stop last.
pub(crate) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    match chars.next() {
        Some(first) => format!(
            "{}{}.",
            first.to_uppercase(),
            chars.as_str().trim_end_matches('.')
        ),
        None => String::new(),
    }
}

/// For text and for attributes in double quotes.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_typed_stays_text() {
        let field = Field {
            name: "username",
            label: "User name",
            kind: "text",
            value: r#""><script>"#,
            autocomplete: "username",
            hint: "",
            error: Some("<b>"),
            more: "",
            has_focus: false,
        };
        let html = field.html();
        assert!(
            html.contains("&quot;&gt;&lt;script&gt;") && html.contains("&lt;b&gt;"),
            "{html}"
        );
        assert!(
            html.contains(r#"aria-describedby="username-error""#),
            "{html}"
        );
    }

    #[test]
    fn errors_become_sentences() {
        assert_eq!(sentence("a name is taken"), "A name is taken.");
        assert_eq!(sentence(""), "");
    }
}

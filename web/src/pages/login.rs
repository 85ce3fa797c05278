//! The sign-in page.

use std::time::Duration;

use super::{Body, Field, brand, escape, hidden};

/// What the page shows again after a try.
#[derive(Debug, Default)]
pub(crate) struct LoginPage {
    pub(crate) username: String,
    pub(crate) problem: Option<Problem>,
}

/// What the page needs to know beyond the try.
pub(crate) struct Frame<'a> {
    pub(crate) workspace: &'a str,
    pub(crate) is_set_up: bool,
    pub(crate) action: &'a str,
    pub(crate) form: &'a str,
}

/// Why somebody is still on this page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Problem {
    NoUsername,
    Wrong,
    Disabled,
    Wait(Duration),
    Busy,
    Stale,
    Ours,
}

impl Problem {
    fn text(self) -> String {
        match self {
            Self::NoUsername => "Type your user name.".to_owned(),
            Self::Wrong => "User name or password is wrong. Check both and try again.".to_owned(),
            Self::Disabled => {
                "This account is switched off. Ask an administrator of your workspace.".to_owned()
            }
            Self::Wait(wait) => {
                let seconds = wait.as_millis().div_ceil(1000).max(1);
                let unit = if seconds == 1 { "second" } else { "seconds" };
                format!("Too many tries. Wait {seconds} {unit}, then try again.")
            }
            Self::Busy => "Many people are signing in just now. Try again in a moment.".to_owned(),
            Self::Stale => "This page was open for too long. Sign in once more.".to_owned(),
            Self::Ours => "Something went wrong on our side. Try again.".to_owned(),
        }
    }
}

impl LoginPage {
    pub(crate) fn html(&self, frame: &Frame<'_>) -> Body {
        let text = self.problem.map(Problem::text);
        let at_username = self.problem == Some(Problem::NoUsername);
        let username = Field {
            name: "username",
            label: "User name",
            kind: "text",
            value: &self.username,
            autocomplete: "username",
            hint: "",
            error: text.as_deref().filter(|_| at_username),
            more: r#"required maxlength="64" autocapitalize="none" spellcheck="false""#,
            has_focus: self.username.is_empty() || at_username,
        };
        let password = Field {
            name: "password",
            label: "Password",
            kind: "password",
            value: "",
            autocomplete: "current-password",
            hint: "",
            error: text.as_deref().filter(|_| !at_username),
            more: "required",
            has_focus: !username.has_focus,
        };
        let note = if frame.is_set_up {
            ""
        } else {
            r#"<p class="note">Nobody runs this workspace yet. Open the setup link that natterjack printed when it started.</p>"#
        };
        let card = format!(
            r#"{brand}<section class="card"><h1>Sign in</h1>{note}
<form method="post" action="{action}">{form}{username}{password}
<button class="button" type="submit">Sign in</button></form></section>"#,
            brand = brand(frame.workspace),
            action = escape(frame.action),
            form = hidden("form", frame.form),
            username = username.html(),
            password = password.html(),
        );
        Body {
            title: format!("Sign in · {}", frame.workspace),
            card,
            script: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_told_in_whole_seconds() {
        assert!(
            Problem::Wait(Duration::from_millis(1_200))
                .text()
                .contains("2 seconds")
        );
        assert!(
            Problem::Wait(Duration::from_millis(1))
                .text()
                .contains("1 second,")
        );
    }

    #[test]
    fn the_page_shows_the_user_name_but_never_the_password_again() {
        let page = LoginPage {
            username: "alice".to_owned(),
            problem: Some(Problem::Wrong),
        };
        let frame = Frame {
            workspace: "A & B",
            is_set_up: true,
            action: "/x?a=1&b=2",
            form: "f",
        };
        let html = page.html(&frame).card;
        assert!(
            html.contains(r#"value="alice""#)
                && html.contains("A &amp; B")
                && html.contains("a=1&amp;b=2")
        );
        assert!(
            html.contains(r#"type="password" autocomplete="current-password" aria-describedby"#),
            "{html}"
        );
    }
}

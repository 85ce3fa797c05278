//! Signing in as a browser does: authorization code with PKCE through the sign-in page.

use reqwest::redirect::Policy;
use serde_json::Value;
use url::Url;

/// Verifier and challenge of RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// Fills in the sign-in page of the appliance at `origin` and gives the token endpoint's answer.
///
/// # Panics
/// When any step is refused.
pub async fn sign_in(origin: &str, realm: &str, username: &str, password: &str) -> Value {
    let http = reqwest::Client::builder()
        .cookie_store(true)
        .redirect(Policy::none())
        .build()
        .expect("a client without TLS always builds");
    let provider = format!("{origin}/auth/realms/{realm}/protocol/openid-connect");
    let page = Url::parse_with_params(
        &format!("{provider}/auth"),
        [
            ("client_id", "natterjack-web"),
            ("redirect_uri", &format!("{origin}/")),
            ("response_type", "code"),
            ("scope", "openid"),
            ("state", "the-state"),
            ("nonce", "the-nonce"),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ],
    )
    .expect("the address is well formed");
    let form = http
        .get(page.clone())
        .send()
        .await
        .expect("the sign-in page answers");
    assert_eq!(form.status(), 200, "sign-in page");
    let form = form.text().await.expect("the sign-in page is text");
    let action = attribute(&form, "<form", "action").unwrap_or_default();
    let action = page
        .join(&action)
        .expect("the form's address is well formed");
    let mut fields = hidden_fields(&form);
    fields.push(("username".to_owned(), username.to_owned()));
    fields.push(("password".to_owned(), password.to_owned()));
    let sent = http
        .post(action)
        .form(&fields)
        .send()
        .await
        .expect("the form can be sent");
    assert!(
        sent.status().is_redirection(),
        "{username} is not let in: {}",
        sent.status()
    );
    let back = sent.headers()["location"]
        .to_str()
        .expect("an address is ASCII");
    let back = page
        .join(back)
        .expect("the address to return to is well formed");
    let code = back
        .query_pairs()
        .find_map(|(name, value)| (name == "code").then(|| value.into_owned()))
        .unwrap_or_else(|| panic!("no code in {back}"));
    let redirect = format!("{origin}/");
    let tokens = http
        .post(format!("{provider}/token"))
        .form(&[
            ("grant_type", "authorization_code"),
            ("client_id", "natterjack-web"),
            ("code", &code),
            ("redirect_uri", &redirect),
            ("code_verifier", VERIFIER),
        ])
        .send()
        .await
        .expect("the token endpoint answers");
    assert_eq!(tokens.status(), 200, "token endpoint");
    tokens.json().await.expect("the token endpoint speaks JSON")
}

/// The value of `name` in the first element that begins with `element`.
fn attribute(page: &str, element: &str, name: &str) -> Option<String> {
    let start = page.find(element)?;
    let element = &page[start..start + page[start..].find('>')?];
    let value = element
        .split_once(&format!(" {name}=\""))?
        .1
        .split_once('"')?
        .0;
    Some(
        value
            .replace("&amp;", "&")
            .replace("&#x3D;", "=")
            .replace("&quot;", "\""),
    )
}

fn hidden_fields(page: &str) -> Vec<(String, String)> {
    page.match_indices("<input")
        .map(|(at, _)| &page[at..])
        .filter(|input| attribute(input, "<input", "type").as_deref() == Some("hidden"))
        .filter_map(|input| {
            Some((
                attribute(input, "<input", "name")?,
                attribute(input, "<input", "value")?,
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_fields_are_found_with_their_values() {
        let page = r#"<form method="post" action="/a?b=1&amp;c=2"><input type="hidden" name="form" value="x"><input name="username">"#;
        assert_eq!(attribute(page, "<form", "action").unwrap(), "/a?b=1&c=2");
        assert_eq!(hidden_fields(page), [("form".to_owned(), "x".to_owned())]);
    }
}

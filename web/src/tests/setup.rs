use reqwest::Response;

use super::harness::*;

async fn submit(
    browser: &reqwest::Client,
    served: &Served,
    token: &str,
    changes: [(&str, &str); 1],
) -> Response {
    let page = browser
        .get(served.url(&format!("/setup?token={token}")))
        .send()
        .await
        .unwrap();
    assert_eq!(page.status(), 200);
    let form = attribute(&page.text().await.unwrap(), "name=\"form\" value=\"");
    let mut fields = std::collections::HashMap::from([
        ("form", form.as_str()),
        ("token", token),
        ("display_name", "Nora Niemi"),
        ("username", "nora"),
        ("password", "correct horse"),
        ("workspace", "Marsh Works"),
    ]);
    fields.extend(changes);
    browser
        .post(served.url("/setup"))
        .form(&fields)
        .send()
        .await
        .unwrap()
}

async fn config(served: &Served) -> serde_json::Value {
    browser()
        .get(served.url("/config.json"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap()
}

#[tokio::test]
async fn the_first_administrator_is_made_once_and_is_signed_in() {
    let (served, browser) = (Served::empty().await, browser());
    assert_eq!(config(&served).await["setupNeeded"], true);
    let token = served.identity.setup_token().await.unwrap().unwrap();
    let done = submit(&browser, &served, token.as_str(), [("x", "")]).await;
    assert_eq!(done.status(), 303, "{}", done.text().await.unwrap());
    assert_eq!(location(&done), served.url("/"));

    let signed_in = browser
        .get(served.auth_url(&[("prompt", "none")]))
        .send()
        .await
        .unwrap();
    let (_, tokens) = redeem(&browser, &served, &answer(&signed_in)["code"], VERIFIER).await;
    let access = claims(&tokens["access_token"]);
    assert_eq!(
        access["realm_access"]["roles"],
        serde_json::json!(["admin", "user"])
    );
    let config = config(&served).await;
    assert_eq!(
        (&config["workspace"], &config["setupNeeded"]),
        (&"Marsh Works".into(), &false.into())
    );
    assert_eq!(config["authority"], served.url("/auth/realms/natterjack"));

    let again = browser
        .get(served.url(&format!("/setup?token={}", token.as_str())))
        .send()
        .await
        .unwrap();
    assert_eq!(again.status(), 410);
    assert!(served.identity.setup_token().await.unwrap().is_none());
}

#[tokio::test]
async fn what_is_wrong_is_said_at_its_field() {
    let (served, browser) = (Served::empty().await, browser());
    let token = served.identity.setup_token().await.unwrap().unwrap();
    for (change, field) in [
        (("password", "short"), "password-error"),
        (("username", "No-ra"), "username-error"),
        (("display_name", " "), "display_name-error"),
        (("workspace", ""), "workspace-error"),
    ] {
        let page = submit(&browser, &served, token.as_str(), [change]).await;
        assert_eq!(page.status(), 422, "{change:?}");
        assert!(page.text().await.unwrap().contains(field), "{change:?}");
    }
    assert_eq!(config(&served).await["setupNeeded"], true);
}

#[tokio::test]
async fn a_guessed_link_shows_nothing() {
    let served = Served::empty().await;
    served.identity.setup_token().await.unwrap().unwrap();
    for path in ["/setup", "/setup?token=", "/setup?token=guess"] {
        assert_eq!(
            browser()
                .get(served.url(path))
                .send()
                .await
                .unwrap()
                .status(),
            403,
            "{path}"
        );
    }
}

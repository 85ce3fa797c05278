use serde_json::json;

use super::harness::*;

#[tokio::test]
async fn signing_in_gives_the_tokens_of_the_contract() {
    let (served, browser) = (Served::demo().await, browser());
    let back = fill_in(
        &browser,
        &served,
        &served.auth_url(&[]),
        "alice",
        "alice123",
    )
    .await;
    assert_eq!(back.status(), 303);
    assert!(
        location(&back).starts_with(&served.url("/?")),
        "{}",
        location(&back)
    );
    let answer = answer(&back);
    let issuer = served.url("/auth/realms/nats-chat");
    assert_eq!((answer["state"].as_str(), &answer["iss"]), ("st", &issuer));

    let (status, tokens) = redeem(&browser, &served, &answer["code"], VERIFIER).await;
    assert_eq!(status, 200, "{tokens}");
    let access = claims(&tokens["access_token"]);
    assert_eq!(access["iss"], issuer);
    assert_eq!(access["preferred_username"], "alice");
    assert_eq!(access["name"], "Alice Admin");
    assert_eq!(access["email"], "alice@example.com");
    assert_eq!(access["realm_access"]["roles"], json!(["admin", "user"]));
    assert_eq!(
        (&access["azp"], &access["typ"]),
        (&json!("natterjack-web"), &json!("Bearer"))
    );
    assert_eq!(
        access["exp"].as_u64().unwrap() - access["iat"].as_u64().unwrap(),
        900
    );
    let id = claims(&tokens["id_token"]);
    assert_eq!((&id["nonce"], &id["sid"]), (&json!("no"), &access["sid"]));
    assert_eq!(claims(&tokens["refresh_token"])["typ"], "Refresh");
    assert_eq!(tokens["session_state"], access["sid"]);

    let userinfo = browser
        .get(served.oidc("userinfo"))
        .bearer_auth(tokens["access_token"].as_str().unwrap());
    let userinfo: serde_json::Value = userinfo.send().await.unwrap().json().await.unwrap();
    assert_eq!(
        (&userinfo["sub"], &userinfo["preferred_username"]),
        (&access["sub"], &json!("alice"))
    );
    let keys: serde_json::Value = browser
        .get(served.oidc("certs"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert!(
        keys["keys"][0]["kid"].is_string()
            && keys["keys"][0]["n"].is_string()
            && keys["keys"][0]["d"].is_null()
    );
}

#[tokio::test]
async fn who_is_signed_in_is_not_asked_again() {
    let (served, browser) = (Served::demo().await, browser());
    let silent = served.auth_url(&[("prompt", "none"), ("response_mode", "fragment")]);
    let nobody = browser.get(&silent).send().await.unwrap();
    assert_eq!(answer(&nobody)["error"], "login_required");
    tokens(&browser, &served).await;
    let somebody = browser.get(&silent).send().await.unwrap();
    assert!(
        location(&somebody).contains("/#"),
        "{}",
        location(&somebody)
    );
    assert!(answer(&somebody).contains_key("code"));
    let asked = browser
        .get(served.auth_url(&[("prompt", "login")]))
        .send()
        .await
        .unwrap();
    assert_eq!(asked.status(), 200);
}

#[tokio::test]
async fn a_code_is_good_once_and_only_with_its_verifier() {
    let (served, browser) = (Served::demo().await, browser());
    let back = fill_in(&browser, &served, &served.auth_url(&[]), "bob", "bob123").await;
    let (status, refused) =
        redeem(&browser, &served, &answer(&back)["code"], &"x".repeat(43)).await;
    assert_eq!((status, &refused["error"]), (400, &json!("invalid_grant")));

    let again = browser.get(served.auth_url(&[])).send().await.unwrap();
    let code = answer(&again)["code"].clone();
    let (status, tokens) = redeem(&browser, &served, &code, VERIFIER).await;
    assert_eq!(status, 200);
    let (status, _) = redeem(&browser, &served, &code, VERIFIER).await;
    assert_eq!(status, 400);
    let (status, _) = refresh(&browser, &served, tokens["refresh_token"].as_str().unwrap()).await;
    assert_eq!(status, 400, "what came from a stolen code is void");
}

#[tokio::test]
async fn a_refresh_token_that_comes_twice_ends_the_session() {
    let (served, browser) = (Served::demo().await, browser());
    let first = tokens(&browser, &served).await;
    let (status, second) =
        refresh(&browser, &served, first["refresh_token"].as_str().unwrap()).await;
    assert_eq!(status, 200, "{second}");
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    let admitted = served
        .identity
        .admit(second["access_token"].as_str().unwrap())
        .await
        .unwrap()
        .unwrap();

    let (status, refused) =
        refresh(&browser, &served, first["refresh_token"].as_str().unwrap()).await;
    assert_eq!((status, &refused["error"]), (400, &json!("invalid_grant")));
    assert!(admitted.revoked.is_cancelled());
    let (status, _) = refresh(&browser, &served, second["refresh_token"].as_str().unwrap()).await;
    assert_eq!(status, 400);
    assert!(
        served
            .identity
            .admit(second["access_token"].as_str().unwrap())
            .await
            .unwrap()
            .is_err()
    );
}

#[tokio::test]
async fn a_refresh_token_is_for_its_own_client() {
    let (served, browser) = (Served::demo().await, browser());
    let tokens = tokens(&browser, &served).await;
    let fields = [
        ("grant_type", "refresh_token"),
        ("client_id", "nats-chat-app"),
        ("refresh_token", tokens["refresh_token"].as_str().unwrap()),
    ];
    assert_eq!(post(&browser, &served.oidc("token"), &fields).await.0, 400);
    let fields = [
        ("grant_type", "refresh_token"),
        ("client_id", "natterjack-web"),
        ("refresh_token", tokens["access_token"].as_str().unwrap()),
    ];
    assert_eq!(post(&browser, &served.oidc("token"), &fields).await.0, 400);
}

#[tokio::test]
async fn signing_out_ends_the_session_and_leads_back() {
    let (served, browser) = (Served::demo().await, browser());
    let tokens = tokens(&browser, &served).await;
    let access = tokens["access_token"].as_str().unwrap();
    let admitted = served.identity.admit(access).await.unwrap().unwrap();
    let own = served.url("/");
    let logout = |query: &[(&str, &str)]| browser.get(served.oidc("logout")).query(query).send();

    let question = logout(&[("post_logout_redirect_uri", own.as_str())])
        .await
        .unwrap();
    assert_eq!(question.status(), 200, "a bare link asks first");
    assert!(!admitted.revoked.is_cancelled());

    let hint = tokens["id_token"].as_str().unwrap();
    let query = [
        ("id_token_hint", hint),
        ("post_logout_redirect_uri", own.as_str()),
        ("state", "x"),
    ];
    let back = logout(&query).await.unwrap();
    assert_eq!(location(&back), format!("{own}?state=x"));
    assert!(admitted.revoked.is_cancelled());
    let asked = browser.get(served.auth_url(&[])).send().await.unwrap();
    assert_eq!(asked.status(), 200, "the sign-in page, not a code");
    let elsewhere = logout(&[("post_logout_redirect_uri", "http://evil.example/")])
        .await
        .unwrap();
    assert_eq!(location(&elsewhere), own);
}

#[tokio::test]
async fn wrong_passwords_are_answered_in_the_page_and_slowed_down() {
    let (served, browser) = (Served::demo().await, browser());
    let url = served.auth_url(&[]);
    let try_again = || fill_in(&browser, &served, &url, "alice", "wrong");
    let first = try_again().await;
    assert_eq!(first.status(), 401);
    let html = first.text().await.unwrap();
    assert!(
        html.contains("User name or password is wrong") && html.contains("value=\"alice\""),
        "{html}"
    );
    // The wait doubles with each failure, so even a slow machine runs into it.
    let mut refused = try_again().await;
    while refused.status() == 401 {
        refused = try_again().await;
    }
    assert_eq!(refused.status(), 429);
    assert!(
        refused
            .text()
            .await
            .unwrap()
            .contains("Too many tries. Wait")
    );
    let other = fill_in(&browser, &served, &served.auth_url(&[]), "bob", "bob123").await;
    assert_eq!(other.status(), 303, "nobody else waits");
}

#[tokio::test]
async fn a_form_of_another_browser_is_refused() {
    let served = Served::demo().await;
    let (mine, theirs) = (browser(), browser());
    let html = mine
        .get(served.auth_url(&[]))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let fields = [
        ("form", attribute(&html, "name=\"form\" value=\"")),
        ("username", "bob".into()),
        ("password", "bob123".into()),
    ];
    let action = served.url(&attribute(&html, "action=\""));
    assert_eq!(
        theirs
            .post(&action)
            .form(&fields)
            .send()
            .await
            .unwrap()
            .status(),
        400
    );
    let elsewhere = mine
        .post(&action)
        .header("Origin", "http://localhost:3000")
        .form(&fields);
    assert_eq!(elsewhere.send().await.unwrap().status(), 400);
    assert_eq!(
        mine.post(&action)
            .form(&fields)
            .send()
            .await
            .unwrap()
            .status(),
        303
    );
}

#[tokio::test]
async fn a_strange_address_to_return_to_is_never_used() {
    let (served, browser) = (Served::demo().await, browser());
    for changes in [
        [("redirect_uri", "http://evil.example/")],
        [("client_id", "unknown")],
        [("redirect_uri", "")],
    ] {
        let page = browser.get(served.auth_url(&changes)).send().await.unwrap();
        assert_eq!(page.status(), 400, "{changes:?}");
        assert!(page.headers().get("location").is_none());
    }
    let sent_back = [
        ([("response_type", "token")], "unsupported_response_type"),
        ([("scope", "profile")], "invalid_scope"),
        ([("code_challenge", "")], "invalid_request"),
        ([("code_challenge_method", "plain")], "invalid_request"),
        ([("response_mode", "form_post")], "invalid_request"),
    ];
    for (changes, error) in sent_back {
        let back = browser.get(served.auth_url(&changes)).send().await.unwrap();
        assert_eq!(answer(&back)["error"], error, "{changes:?}");
        assert_eq!(answer(&back)["state"], "st");
    }
}

#[tokio::test]
async fn the_old_systems_client_signs_in_from_its_own_port() {
    let (served, browser) = (Served::demo().await, browser());
    let changes = [
        ("client_id", "nats-chat-app"),
        ("redirect_uri", "http://localhost:5173/"),
        ("response_mode", "fragment"),
    ];
    let url = served.auth_url(&changes);
    let page = browser.get(&url).send().await.unwrap();
    let policy = page.headers()["content-security-policy"]
        .to_str()
        .unwrap()
        .to_owned();
    assert!(
        policy.contains("form-action 'self' http://localhost:5173;"),
        "{policy}"
    );
    let back = fill_in(&browser, &served, &url, "bob", "bob123").await;
    assert!(
        location(&back).starts_with("http://localhost:5173/#"),
        "{}",
        location(&back)
    );
    let code = answer(&back)["code"].clone();
    let fields = [
        ("grant_type", "authorization_code"),
        ("client_id", "nats-chat-app"),
        ("redirect_uri", "http://localhost:5173/"),
        ("code", code.as_str()),
        ("code_verifier", VERIFIER),
    ];
    let request = browser
        .post(served.oidc("token"))
        .header("Origin", "http://localhost:5173")
        .form(&fields);
    let tokens = request.send().await.unwrap();
    assert_eq!(
        tokens.headers()["access-control-allow-origin"],
        "http://localhost:5173"
    );
    assert_eq!(tokens.headers()["access-control-allow-credentials"], "true");
    assert_eq!(tokens.status(), 200);
    let stranger = browser
        .post(served.oidc("token"))
        .header("Origin", "http://localhost:9999")
        .form(&fields);
    assert!(
        stranger
            .send()
            .await
            .unwrap()
            .headers()
            .get("access-control-allow-origin")
            .is_none()
    );
}

#[tokio::test]
async fn only_the_demos_client_may_use_passwords() {
    let (served, browser) = (Served::demo().await, browser());
    let grant = |client, password| {
        let fields = [
            ("grant_type", "password"),
            ("client_id", client),
            ("username", "mike"),
            ("password", password),
        ];
        let (browser, url) = (browser.clone(), served.oidc("token"));
        async move { post(&browser, &url, &fields).await }
    };
    let (status, tokens) = grant("nats-chat-app", "mike123").await;
    assert_eq!(status, 200);
    assert_eq!(
        claims(&tokens["access_token"])["realm_access"]["roles"],
        json!([])
    );
    assert_eq!(
        grant("nats-chat-app", "wrong").await.1["error"],
        "invalid_grant"
    );
    assert_eq!(
        grant("natterjack-web", "mike123").await.1["error"],
        "unauthorized_client"
    );
    assert_eq!(grant("unknown", "mike123").await.0, 401);
}

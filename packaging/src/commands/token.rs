//! `natterjack user token`: an access token for a script, without a browser.
//!
//! Whoever can read the signing keys could make any token, so this asks for nothing that its user does not have. The
//! session it starts is like any other: it ends with a new password, a changed role or a disabled account.

use std::net::{IpAddr, Ipv4Addr};

use services::identity::{
    AuthorizeRequest, Caller, Identity, OauthError, TokenRequest, User, WEB_CLIENT_ID,
};

/// Starts a session for `user` and gives its first access token. `origin` is where the appliance is reached.
pub(crate) async fn issue(
    identity: &Identity,
    user: User,
    origin: String,
) -> anyhow::Result<String> {
    let session = identity.start_browser_session(user).await?.session;
    let request = AuthorizeRequest {
        client_id: WEB_CLIENT_ID.to_owned(),
        redirect_uri: origin.clone(),
        response_type: "code".to_owned(),
        scope: "openid".to_owned(),
        ..AuthorizeRequest::default()
    };
    let refused = |error: OauthError| anyhow::anyhow!("no token was issued: {error}");
    let code = identity.issue_code(&request, &session).map_err(refused)?;
    let request = TokenRequest {
        grant_type: "authorization_code".to_owned(),
        client_id: request.client_id,
        code: code.as_str().to_owned(),
        redirect_uri: request.redirect_uri,
        ..TokenRequest::default()
    };
    let caller = Caller {
        origin,
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
    };
    Ok(identity
        .token(request, &caller)
        .await
        .map_err(refused)?
        .access_token)
}

//! The bearer token.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use crate::app::App;
use crate::http::Error;
use crate::token::matches;

/// Proof of `Authorization: Bearer TOKEN`: a handler that takes it runs only with the admin's token.
#[derive(Debug)]
pub(super) struct Authorized(());

impl FromRequestParts<Arc<App>> for Authorized {
    /// [`Error::Unauthorized`].
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Error> {
        check(app, &parts.headers).await.map(Self)
    }
}

async fn check(app: &Arc<App>, headers: &HeaderMap) -> Result<(), Error> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next().ok_or(Error::Unauthorized("no token"))?;
    if values.next().is_some() {
        return Err(Error::Unauthorized("two tokens"));
    }
    let given = value.to_str().ok().and_then(|value| value.split_once(' '));
    let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let (_, given) = given.ok_or(Error::Unauthorized("expected Authorization: Bearer TOKEN"))?;
    let token = app.blocking(|app| app.token.read().map_err(Error::internal)).await?;
    if matches(given.trim(), &token) { Ok(()) } else { Err(Error::Unauthorized("wrong token")) }
}

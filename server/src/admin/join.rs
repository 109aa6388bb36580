//! Join tokens.

use std::sync::Arc;

use axum::extract::State;
use axum::{Json, Router};
use fleet_protocol::join::{NewToken, TokenId, TokenView};

use super::auth::Authorized;
use super::nodes::DECISION_MAX;
use super::speak::first_root;
use crate::app::{App, now};
use crate::fleet::tokens::TokenError;
use crate::http::request_body::Declared;
use crate::http::route::{get, post};
use crate::http::{Error, Name, Named};

/// Making one has a path of its own: a route has one method and one word in the log.
pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/v1/tokens", get("tokens", all))
        .route("/v1/tokens/new", post("token-new", create))
        .route("/v1/tokens/{id}/revoke", post("token-revoke", revoke))
}

impl Name for TokenId {
    fn parse(text: &str) -> Result<Self, Error> {
        text.parse().map_err(|error| Error::BadRequest(format!("{error}")))
    }
}

async fn all(State(app): State<Arc<App>>, _: Authorized) -> Result<Json<Vec<TokenView>>, Error> {
    app.blocking(|app| app.inventory.tokens.all(now()).map(Json).map_err(Error::internal)).await
}

async fn create(
    State(app): State<Arc<App>>,
    _: Authorized,
    body: Declared<DECISION_MAX>,
) -> Result<Json<TokenView>, Error> {
    let bytes = body.whole().await?;
    let new: NewToken =
        serde_json::from_slice(&bytes).map_err(|error| Error::BadRequest(error.to_string()))?;
    app.blocking(move |app| {
        if let Some(own) = first_root(app)?
            && own != new.root
        {
            return Err(Error::Invalid(format!(
                "token: it is for repository {}, this server has {}",
                new.root.short(),
                own.short()
            )));
        }
        let (id, uses, ttl_s) = (new.id, new.uses, new.ttl_s);
        let made = app.inventory.tokens.create(new, now()).map_err(refused)?;
        tracing::info!(%id, uses, ttl_s, group = ?made.group, "join token made");
        Ok(Json(made))
    })
    .await
}

async fn revoke(
    State(app): State<Arc<App>>,
    Named(id): Named<TokenId>,
    _: Authorized,
) -> Result<Json<TokenView>, Error> {
    app.blocking(move |app| {
        let ended = app.inventory.tokens.revoke(id, now()).map_err(refused)?;
        tracing::info!(%id, "join token revoked");
        Ok(Json(ended))
    })
    .await
}

fn refused(error: TokenError) -> Error {
    match error {
        TokenError::Kv(error) => Error::internal(error),
        TokenError::Unknown(_) => Error::NotFound(error.to_string()),
        TokenError::Contended(_) => Error::Busy(error.to_string()),
        error => Error::Invalid(error.to_string()),
    }
}

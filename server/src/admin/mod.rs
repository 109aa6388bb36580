//! The admin listener: publishing and the node list, with the admin's token; nodes' reports without.

mod auth;
pub mod channel;
mod nodes;
pub mod pack;
pub mod path;
mod publish;
mod upload;

use std::net::IpAddr;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Request, StatusCode};

use self::path::Route;
use crate::app::App;
use crate::http::answer::ErrorForm;
use crate::http::request_body::discard;
use crate::http::{Answer, Error};
use crate::net::listener::Service;

/// The service of the admin listener.
#[derive(Debug)]
pub struct Admin(pub Arc<App>);

impl Service for Admin {
    const NAME: &'static str = "admin";

    fn route(path: &str) -> &'static str {
        Route::word(path)
    }

    async fn answer(&self, request: Request<Incoming>, _: IpAddr) -> Answer {
        let (head, mut body) = request.into_parts();
        match dispatch(&self.0, &head, &mut body).await {
            Ok(answer) => answer,
            Err(error) => {
                discard(&head.headers, &mut body).await;
                Answer::refusal(&error, ErrorForm::Json)
            }
        }
    }
}

async fn dispatch(app: &Arc<App>, head: &Parts, body: &mut Incoming) -> Result<Answer, Error> {
    if head.uri.authority().is_some() {
        return Err(Error::BadRequest("this is no proxy".into()));
    }
    let route = Route::of(&head.method, head.uri.path())?;
    if route.needs_token() {
        auth::check(app, &head.headers).await?;
    }
    match route {
        Route::Health => Ok(Answer::text("ok\n")),
        Route::Missing => upload::missing(app, &head.headers, body).await,
        Route::Pack => upload::pack(app, &head.headers, body).await,
        Route::Commit => publish::commit(app, &head.headers, body).await,
        Route::Names => publish::names(app).await,
        Route::Nodes => nodes::all(app).await,
        Route::Node(node) => nodes::one(app, node).await,
        Route::Report(node) => {
            nodes::report(app, &head.headers, body, node).await?;
            Ok(Answer::bare(StatusCode::NO_CONTENT))
        }
    }
}

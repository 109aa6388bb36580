//! The delivery listener: objects, metadata, boot scripts, health. GET and HEAD only, no secrets, no writes.

mod batch;
mod boot_script;
mod file;
pub mod path;
pub mod ranges;
mod status;

use std::net::IpAddr;
use std::sync::Arc;

use hyper::body::{Body as _, Incoming};
use hyper::header;
use hyper::{Method, Request};

use self::path::{Refused, Route};
use crate::app::App;
use crate::http::answer::ErrorForm;
use crate::http::body::empty;
use crate::http::{Answer, Error};
use crate::net::listener::Service;

/// Methods of this listener.
const ALLOWED: &str = "GET, HEAD";

/// The service of the delivery listener.
#[derive(Debug)]
pub struct Delivery(pub Arc<App>);

impl Service for Delivery {
    const NAME: &'static str = "delivery";

    fn route(path: &str) -> &'static str {
        Route::of(path).map_or("none", |route| route.word())
    }

    async fn answer(&self, request: Request<Incoming>, _: IpAddr) -> Answer {
        let head = request.method() == Method::HEAD;
        let answer = dispatch(&self.0, &request).await;
        let mut answer = answer.unwrap_or_else(|error| Answer::refusal(&error, ErrorForm::Text));
        if head {
            // The headers stay: their Content-Length is that of the GET.
            *answer.response.body_mut() = empty();
        }
        answer
    }
}

async fn dispatch(app: &Arc<App>, request: &Request<Incoming>) -> Result<Answer, Error> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return Err(Error::Method(ALLOWED));
    }
    if request.uri().authority().is_some() {
        return Err(Error::BadRequest("this is no proxy".into()));
    }
    let has_body =
        !request.body().is_end_stream() || request.headers().contains_key(header::TRANSFER_ENCODING);
    if has_body {
        return Err(Error::BadRequest("a GET has no body here".into()));
    }
    let route = Route::of(request.uri().path()).map_err(|refused| match refused {
        Refused::Spelling(what) => Error::BadRequest(what.into()),
        Refused::Unknown(what) => Error::NotFound(what.into()),
    })?;
    if request.uri().query().is_some() && route != Route::Boot {
        return Err(Error::NotFound("this path has no query".into()));
    }
    match route {
        Route::Boot => boot_script::answer(app, request).await,
        Route::Object(id) => file::object(app, request.headers(), id).await,
        Route::Batch(index, ranges) => batch::answer(app, index, ranges).await,
        Route::Metadata(name) => file::metadata(app, request.headers(), name).await,
        Route::Target(name) => file::target(app, request.headers(), name).await,
        Route::Health => Ok(Answer::text("ok\n")),
        Route::Ready => status::ready(app).await,
        Route::Metrics => status::metrics(app),
    }
}

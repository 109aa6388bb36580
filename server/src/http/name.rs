//! Path parameters: what a part of a path names, in its one spelling.

use axum::Extension;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

use super::error::Error;
use super::route::Word;

/// What a path can name.
pub trait Name: Sized {
    /// Reads the one spelling.
    ///
    /// # Errors
    /// What a client that spells it otherwise reads.
    fn parse(text: &str) -> Result<Self, Error>;
}

/// The one parameter of a path. Nothing is decoded: [`super::strict`] has let no `%` through.
#[derive(Debug)]
pub struct Named<T>(pub T);

impl<T: Name, S: Send + Sync> FromRequestParts<S> for Named<T> {
    /// A path that names nothing belongs to no route.
    type Rejection = (Extension<Word>, Error);

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let text = Path::<String>::from_request_parts(parts, state).await;
        let name = text.map_err(Error::internal).and_then(|Path(text)| T::parse(&text));
        name.map(Self).map_err(|error| (Extension(Word::NONE), error))
    }
}

//! A request's body on loan: a handler that refuses may drop it unread, and the layer around it still gets the rest.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::sync::oneshot;

/// What comes back.
#[derive(Debug)]
pub struct Loan(oneshot::Receiver<Body>);

struct Lent {
    body: Body,
    back: Option<oneshot::Sender<Body>>,
}

/// A body to hand out, and the way to get it back.
pub fn lend(body: Body) -> (Body, Loan) {
    let (back, returned) = oneshot::channel();
    (Body::new(Lent { body, back: Some(back) }), Loan(returned))
}

impl Loan {
    /// What is left of the body, when whoever had it has dropped it.
    pub fn returned(mut self) -> Option<Body> {
        self.0.try_recv().ok()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(back) = self.back.take() {
            // Nobody wants the rest of a body after an answer that refuses nothing.
            let _ = back.send(std::mem::take(&mut self.body));
        }
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn what_was_not_read_comes_back() {
        let (body, loan) = lend(Body::from("abc"));
        assert_eq!(body.size_hint().exact(), Some(3));
        drop(body);
        let rest = loan.returned().unwrap().collect().await.unwrap();
        assert_eq!(rest.to_bytes(), "abc");
        let (_held, loan) = lend(Body::from("abc"));
        assert!(loan.returned().is_none());
    }
}

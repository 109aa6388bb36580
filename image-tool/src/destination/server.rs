//! A server's admin listener, by plain HTTP.
//!
//! No proxy is used, whatever the environment says: the server stands in the cluster's own network, and the token must not
//! pass through others.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use fleet_protocol::join::{NewToken, TokenId, TokenView};
use fleet_protocol::node::{Approve, Revoke};
use fleet_protocol::{Missing, MissingAnswer, Names, NodeView, Stored, publish};
use image_format::repository::Upload;
use image_format::{NodeId, ObjectId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use ureq::http::Response;
use ureq::{Agent, Body};

use super::retry::{FIRST_TRIES, Failed, TRIES, retry};
use super::{CONFLICT_ADVICE, Destination, NotCommitted, Token};
use crate::pending::commit_of;
use crate::source::Source;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// From the last byte sent to the first byte of the answer: the server makes everything durable in between.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);
/// Longest pause within a body, in both directions.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest answer read, in bytes: the node list of 100,000 nodes.
const ANSWER_MAX: u64 = 256 << 20;
/// Id and length before each object of a pack.
const PACK_HEADER: usize = 32 + 4;
/// Most of an error answer that is shown, in bytes.
const ERROR_MAX: usize = 4096;

/// A client of one server.
#[derive(Debug)]
pub(crate) struct Server {
    base: String,
    token: Option<Token>,
    agent: Agent,
    /// Whether there ever was an answer.
    answered: AtomicBool,
}

impl Server {
    /// A client of the server at `base`, `http://host:port`. Nothing is sent yet.
    pub(crate) fn new(base: &str, token: Option<Token>) -> anyhow::Result<Self> {
        let host = base.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
        if host.is_none_or(|host| host.is_empty() || host.contains(['/', '?', '#', '@', ' '])) {
            bail!("{base}: expected a server's admin listener, http://HOST:PORT");
        }
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .proxy(None)
            .user_agent(concat!("imgtool/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(ANSWER_TIMEOUT))
            .timeout_per_read(Some(ANSWER_TIMEOUT))
            .timeout_per_write(Some(STALL_TIMEOUT));
        let agent = config.build().new_agent();
        Ok(Self {
            base: base.trim_end_matches('/').to_owned(),
            token,
            agent,
            answered: AtomicBool::new(false),
        })
    }

    /// All nodes that the server knows.
    pub(crate) fn nodes(&self) -> anyhow::Result<Vec<NodeView>> {
        self.get("/v1/nodes").map_err(anyhow::Error::from).context("get the node list")
    }

    /// One node.
    pub(crate) fn node(&self, id: &NodeId) -> anyhow::Result<NodeView> {
        self.get(&format!("/v1/nodes/{id}"))
            .map_err(anyhow::Error::from)
            .with_context(|| format!("get node {id}"))
    }

    /// Approves a key of a node.
    pub(crate) fn approve(&self, id: &NodeId, approve: &Approve) -> anyhow::Result<NodeView> {
        self.decide(id, "approve", approve)
    }

    /// Revokes keys of a node.
    pub(crate) fn revoke(&self, id: &NodeId, revoke: &Revoke) -> anyhow::Result<NodeView> {
        self.decide(id, "revoke", revoke)
    }

    /// Drops what the server knows of a node.
    pub(crate) fn forget(&self, id: &NodeId) -> anyhow::Result<()> {
        self.decide::<serde::de::IgnoredAny>(id, "forget", &serde_json::json!({})).map(drop)
    }

    fn decide<T: DeserializeOwned>(
        &self,
        id: &NodeId,
        verb: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        let json = serde_json::to_vec(body).context("write the decision")?;
        let answer = self.post(&format!("/v1/nodes/{id}/{verb}"), &json).map_err(anyhow::Error::from);
        answer.with_context(|| format!("{verb} node {id}"))
    }

    /// Makes a join token known.
    pub(crate) fn new_token(&self, token: &NewToken) -> anyhow::Result<TokenView> {
        let json = serde_json::to_vec(token).context("write the token")?;
        self.post("/v1/tokens/new", &json).map_err(anyhow::Error::from).context("make a join token")
    }

    /// All join tokens.
    pub(crate) fn tokens(&self) -> anyhow::Result<Vec<TokenView>> {
        self.get("/v1/tokens").map_err(anyhow::Error::from).context("get the join tokens")
    }

    /// Ends a join token.
    pub(crate) fn revoke_token(&self, id: TokenId) -> anyhow::Result<TokenView> {
        let revoked = self.post(&format!("/v1/tokens/{id}/revoke"), b"").map_err(anyhow::Error::from);
        revoked.with_context(|| format!("revoke join token {id}"))
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failed> {
        self.call(|| self.with_token(self.agent.get(self.url(path))).call())
    }

    fn post<T: DeserializeOwned>(&self, path: &str, json: &[u8]) -> Result<T, Failed> {
        let request =
            || self.with_token(self.agent.post(self.url(path))).header("Content-Type", "application/json");
        self.call(|| request().send(json))
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn with_token<B>(&self, request: ureq::RequestBuilder<B>) -> ureq::RequestBuilder<B> {
        match &self.token {
            Some(token) => request.header("Authorization", format!("Bearer {}", token.text)),
            None => request,
        }
    }

    /// Sends until there is an answer that counts, and reads it.
    fn call<T: DeserializeOwned>(
        &self,
        send: impl Fn() -> Result<Response<Body>, ureq::Error>,
    ) -> Result<T, Failed> {
        let attempt = || {
            let response = send().map_err(|error| self.broken(error))?;
            self.read(response)
        };
        let tries = || if self.answered.load(Ordering::Relaxed) { TRIES } else { FIRST_TRIES };
        retry(tries, attempt, thread::sleep)
    }

    /// What a connection that failed means.
    fn broken(&self, error: ureq::Error) -> Failed {
        use ureq::Error as E;
        let later = matches!(
            error,
            E::Io(_)
                | E::Timeout(_)
                | E::ConnectionFailed
                | E::Protocol(_)
                | E::BodyStalled
                | E::HostNotFound
        );
        let error = anyhow::Error::new(error).context(format!("no answer from {}", self.base));
        if later { Failed::Later { error, after: None } } else { Failed::Final(error) }
    }

    fn read<T: DeserializeOwned>(&self, mut response: Response<Body>) -> Result<T, Failed> {
        self.answered.store(true, Ordering::Relaxed);
        let status = response.status().as_u16();
        let header = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let after = header.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        let body = response.body_mut().with_config().limit(ANSWER_MAX).read_to_vec();
        let body = body.map_err(|error| self.broken(error))?;
        match status {
            200..=299 => {
                let body = if body.is_empty() { b"null".as_slice() } else { &body };
                let what = || format!("{}: expected an answer of imgserver's admin listener", self.base);
                serde_json::from_slice(body).with_context(what).map_err(Failed::Final)
            }
            429 | 502..=504 => {
                let error = anyhow!("{}: busy (status {status}): {}", self.base, reason(&body));
                Err(Failed::Later { error, after })
            }
            401 | 403 => {
                let token = self.token.as_ref().map_or_else(
                    || {
                        "no token was given (--token-file, BASCULE_TOKEN, or `token_file` in bascule.toml)"
                            .to_owned()
                    },
                    |token| format!("the token from {} is not the server's", token.origin),
                );
                Err(Failed::Final(anyhow!("{}: not authorised (status {status}): {token}", self.base)))
            }
            409 => {
                let why = reason(&body);
                Err(Failed::Final(anyhow!("{}: conflict: {why}; {CONFLICT_ADVICE}", self.base)))
            }
            422 => Err(Failed::Final(anyhow!("{}: refused: {}", self.base, reason(&body)))),
            _ => Err(Failed::Final(anyhow!("{}: status {status}: {}", self.base, reason(&body)))),
        }
    }
}

/// What an error answer says: `{"error": "…"}`, or its text.
fn reason(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(ERROR_MAX)]);
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let error = json.as_ref().and_then(|json| json.get("error")).and_then(serde_json::Value::as_str);
    let text = error.unwrap_or_else(|| text.trim());
    // Foreign text: nothing in it may steer the terminal.
    let text: String = text.chars().take(ERROR_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.is_empty() { "it gave no reason".to_owned() } else { text }
}

impl Destination for Server {
    fn name(&self) -> &str {
        &self.base
    }

    fn names(&self) -> anyhow::Result<Names> {
        Ok(self.get("/v1/metadata")?)
    }

    fn missing(&self, ids: &[ObjectId]) -> anyhow::Result<Vec<ObjectId>> {
        let mut missing = Vec::new();
        for ids in ids.chunks(publish::MISSING_MAX) {
            let question =
                serde_json::to_vec(&Missing { ids: ids.to_vec() }).context("ask for missing objects")?;
            let answer: MissingAnswer = self.post("/v1/objects/missing", &question)?;
            missing.extend(answer.missing);
        }
        Ok(missing)
    }

    fn put(&self, objects: &[(ObjectId, Vec<u8>)]) -> anyhow::Result<Stored> {
        let mut pack = Vec::with_capacity(objects.iter().map(|(_, bytes)| bytes.len() + PACK_HEADER).sum());
        for (id, bytes) in objects {
            let len =
                u32::try_from(bytes.len()).with_context(|| format!("object {id}: too large to send"))?;
            pack.extend_from_slice(id.as_bytes());
            pack.extend_from_slice(&len.to_le_bytes());
            pack.extend_from_slice(bytes);
        }
        let request = || {
            let request = self.agent.put(self.url("/v1/objects"));
            self.with_token(request).header("Content-Type", "application/octet-stream")
        };
        Ok(self.call(|| request().send(&pack))?)
    }

    fn source(&self) -> anyhow::Result<Source> {
        // The admin listener shows what is published, too.
        Source::open(&self.base)
    }

    fn commit(&self, upload: &Upload) -> Result<(), NotCommitted> {
        let json = commit_body(upload).map_err(NotCommitted::Refused)?;
        // What it answers is for programs that want to know; all that counts is that it agrees.
        match self.post::<serde::de::IgnoredAny>("/v1/commit", &json) {
            Ok(_) => Ok(()),
            Err(Failed::Final(error)) => Err(NotCommitted::Refused(error)),
            Err(Failed::Later { error, .. }) => Err(NotCommitted::Unknown(error)),
        }
    }
}

fn commit_body(upload: &Upload) -> anyhow::Result<Vec<u8>> {
    serde_json::to_vec(&commit_of(upload)?).context("write the commit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bare_http_url_is_a_server() {
        assert!(Server::new("http://127.0.0.1:7081", None).is_ok());
        assert!(Server::new("http://boot.example/", None).is_ok());
        for bad in
            ["https://x", "http://", "http://h/path", "http://user@h", "ftp://x", "http://h?x", "http://a b"]
        {
            assert!(Server::new(bad, None).is_err(), "{bad}");
        }
    }

    #[test]
    fn error_answers_are_shown_without_control_characters() {
        assert_eq!(reason(br#"{"error":"pins: version 3 is there"}"#), "pins: version 3 is there");
        assert_eq!(reason(b"plain \x1b[31mtext\n"), "plain  [31mtext");
        assert_eq!(reason(b""), "it gave no reason");
        assert_eq!(reason(&vec![b'x'; 9000]).len(), ERROR_MAX);
    }
}

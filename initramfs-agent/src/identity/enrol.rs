//! Asking the server to take this node in: once a boot at most, in a few seconds, whatever it answers.

use std::time::Duration;

use fleet_protocol::identity::EnrolAnswer;
use fleet_protocol::join::JoinToken;
use fleet_protocol::node::EnrolmentState;
use image_format::record::{Enrolled, Record};
use image_format::{NodeId, Sha256};

use super::{Identity, IdentityError, Shelf, Status};
use crate::http::{BaseUrl, Client, HttpError, Limits};
use crate::say;

/// Time that asking may take.
const LIMIT: Duration = Duration::from_secs(3);

/// The token of the command line, if it is for the repository that this agent trusts. Whose fingerprint differs gets nothing, not even
/// a question: somebody else's token would enrol the node with somebody else.
pub fn token_for<'t>(token: Option<&'t JoinToken>, root: &Sha256) -> Option<&'t JoinToken> {
    let token = token?;
    if token.root == *root {
        return Some(token);
    }
    say!(
        "identity: join token {} is for repository {}, this node trusts {}: not used",
        token.id,
        token.root.short(),
        root.short()
    );
    None
}

/// Who asks whom.
#[derive(Debug)]
pub struct Enroller<'a> {
    /// The admin listener.
    pub admin: &'a BaseUrl,
    /// This node.
    pub node: &'a NodeId,
    /// SHA-256 of the embedded root.
    pub root: Sha256,
    /// The join token of the command line; its fingerprint is checked here.
    pub token: Option<&'a JoinToken>,
}

impl Enroller<'_> {
    /// Asks, unless the key is approved already, and remembers the answer. Gives what the record should remember, if that is new.
    pub fn ask<S: Shelf>(&self, identity: &mut Identity<S>, record: &Record) -> Option<Enrolled> {
        let key = identity.public();
        let last = identity.shelf().and_then(|shelf| Status::read(shelf));
        if last.as_ref().is_some_and(|status| status.is_approved(&key)) {
            return None;
        }
        let token = token_for(self.token, &self.root);
        let before = record.enrolled.as_ref().map(|enrolled| enrolled.key.as_str());
        let answer = match self.exchange(identity, token, before) {
            Ok(answer) => answer,
            Err(error) => {
                say!("identity: key {}: {error:#}; going on without", key.short());
                if let Some(HttpError::Status { status: 403, reason, .. }) = error.downcast_ref() {
                    let message = reason.clone().unwrap_or_default();
                    let answer = EnrolAnswer { state: EnrolmentState::Unknown, message };
                    keep(identity, &Status { key, answer }, last.as_ref());
                }
                return None;
            }
        };
        let state = answer.state;
        say!("identity: key {} is {}: {}", key.short(), state.word(), plain(&answer.message));
        let status = Status { key, answer };
        keep(identity, &status, last.as_ref());
        let approved = state == EnrolmentState::Approved;
        // A group once fixed stays: neither a new token nor a new key moves the node.
        let kept = record.enrolled.as_ref().and_then(|enrolled| enrolled.group.clone());
        let first = record.enrolled.is_none();
        let group = kept.or_else(|| token.filter(|_| first).and_then(|token| token.group.clone()));
        approved
            .then(|| Enrolled { key: key.to_string(), group })
            .filter(|new| record.enrolled.as_ref() != Some(new))
    }

    fn exchange<S: Shelf>(
        &self,
        identity: &mut Identity<S>,
        token: Option<&JoinToken>,
        before: Option<&str>,
    ) -> anyhow::Result<EnrolAnswer> {
        let body =
            identity.enrol(self.node, self.root, token, before).map_err(|error: IdentityError| error)?;
        let mut client = Client::new(self.admin.clone());
        let path = format!("/v1/nodes/{}/enrol", self.node);
        let answer = client.post_signed(&path, &body, &Limits::brief(LIMIT));
        match answer {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)?),
            // The answer of a server that does not know enrolment yet is as good as none.
            Err(error @ HttpError::Status { status: 400 | 404 | 405, .. }) => {
                Err(anyhow::Error::new(error).context("the server does not enrol"))
            }
            Err(error) => Err(anyhow::Error::new(error).context("enrol")),
        }
    }
}

/// Remembers what the server said, if it is new.
fn keep<S: Shelf>(identity: &Identity<S>, status: &Status, last: Option<&Status>) {
    if last != Some(status)
        && let Some(shelf) = identity.shelf()
        && let Err(error) = status.write(shelf)
    {
        say!("identity: {:#}; the server will be asked again", anyhow::Error::new(error));
    }
}

/// Text of the server: nothing in it may steer the console.
fn plain(text: &str) -> String {
    text.chars().take(300).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

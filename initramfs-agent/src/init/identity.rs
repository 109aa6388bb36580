//! The node's key once the state partition is mounted for good: made if need be, and shown to the server.
//!
//! None of it can stop or delay a boot by more than the few seconds that the server is given to answer.

use std::path::Path;

use super::remember::remember;
use super::session::Session;
use crate::fleet::Reporter;
use crate::identity::{Enroller, Identity, ROOT_DIGEST};
use crate::say;

/// The key on the mounted state partition, shown to the server unless it has approved it already.
pub(super) fn adopt(session: &mut Session<'_>, state: &Path) {
    let root = session.environment.root_digest();
    // For the health service, which goes on asking.
    if let Err(error) = std::fs::write(ROOT_DIGEST, root.to_string()) {
        say!("identity: write {ROOT_DIGEST}: {error}");
    }
    let mut identity = match Identity::open(state) {
        Ok(identity) => identity,
        Err(error) => {
            say!("identity: {:#}; reports are not signed", anyhow::Error::new(error));
            return;
        }
    };
    if !identity.made().is_empty() {
        say!("identity: made key {}: {}", identity.public().short(), identity.made());
    }
    // After a kexec nobody has waited for the network, and a server that was silent a moment ago would only cost time: then the health
    // service asks.
    if !session.reporter.as_ref().is_some_and(Reporter::is_answered) {
        return;
    }
    if let (Some(admin), Some(node)) = (session.admin.clone(), session.node()) {
        let token = session.environment.cmdline.join.as_ref();
        let enroller = Enroller { admin: &admin, node: &node, root, token };
        if let Some(enrolled) = enroller.ask(&mut identity, &session.record) {
            let saved = remember(session, |record| {
                record.enrolled = Some(enrolled);
                Ok(())
            });
            if let Err(error) = saved {
                say!("identity: {error:#}; the enrolment is not remembered on the disk");
            }
        }
    }
    if let Some(reporter) = &mut session.reporter {
        reporter.sign_with(identity);
    }
}

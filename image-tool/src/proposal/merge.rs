//! Putting together what was signed on copies of one proposal.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use signing::{Value, to_json};

use super::ProposalFile;

impl ProposalFile {
    /// Takes over the signatures of `other`, which must propose the very same.
    pub(crate) fn merge(&mut self, other: &Self) -> anyhow::Result<()> {
        let same = self.made == other.made && self.base == other.base && self.documents == other.documents;
        let roles = self.roles.keys().eq(other.roles.keys());
        ensure!(same && roles, "expected copies of one proposal, found different ones");
        for (role, text) in &mut self.roles {
            let more = other.roles.get(role).context("expected copies of one proposal")?;
            *text = merged(text, more).with_context(|| format!("put together the signatures of {role}"))?;
        }
        Ok(())
    }
}

fn merged(one: &str, other: &str) -> anyhow::Result<String> {
    let read = |text: &str| -> anyhow::Result<(Value, BTreeMap<String, Value>)> {
        let file = signing::parse(text.as_bytes(), text.len())?;
        let signed = file.get("signed").cloned().context("expected `signed`")?;
        let entries = file.get("signatures").and_then(Value::as_array).context("expected `signatures`")?;
        let entry = |entry: &Value| {
            let keyid = entry.get("keyid").and_then(Value::as_str)?;
            Some((keyid.to_owned(), entry.clone()))
        };
        let entries: Option<BTreeMap<_, _>> = entries.iter().map(entry).collect();
        Ok((signed, entries.context("expected signatures with key ids")?))
    };
    let ((signed, mut signatures), (same, more)) = (read(one)?, read(other)?);
    ensure!(signed == same, "expected copies of one proposal, found different content");
    for (keyid, entry) in more {
        signatures.entry(keyid).or_insert(entry);
    }
    let signatures = Value::Array(signatures.into_values().collect());
    let bytes = to_json(&Value::from([("signatures", signatures), ("signed", signed)]))?;
    String::from_utf8(bytes).context("expected text")
}

//! Join tokens, `join/ID` in the database: a hash of the secret, and who came with it.
//!
//! A use is written before the node's key is approved. A crash in between costs nothing: the same node with the same key may come
//! again with the same use.

use std::sync::Arc;

use fleet_protocol::identity::{Joining, NodePublicKey};
use fleet_protocol::join::{NewToken, TTL_MAX, TokenId, TokenState, TokenView, USES_MAX, Verifier};
use image_format::{Group, NodeId, Sha256};
use serde::{Deserialize, Serialize};
use signing::UnixTime;

use super::kv::{Change, Kv, KvError};

/// Most tokens kept.
pub const TOKENS_MAX: usize = 1000;
/// How long a token is shown after its end, in seconds.
const KEPT: i64 = 7 * 86_400;
/// Most nodes named in the list of tokens, each.
const NODES_SHOWN: usize = 20;
/// Attempts to write an entry that others write, too.
const SWAP_TRIES: usize = 32;

const PREFIX: &str = "join/";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    verifier: Verifier,
    root: Sha256,
    group: Option<Group>,
    created: UnixTime,
    expires: UnixTime,
    uses: u32,
    used: Vec<(NodeId, NodePublicKey)>,
    revoked: Option<UnixTime>,
}

impl Entry {
    fn state(&self, now: UnixTime) -> TokenState {
        if self.revoked.is_some() {
            TokenState::Revoked
        } else if now >= self.expires {
            TokenState::Expired
        } else if self.used.len() >= self.uses as usize {
            TokenState::UsedUp
        } else {
            TokenState::Usable
        }
    }

    fn view(&self, id: TokenId, now: UnixTime) -> TokenView {
        TokenView {
            id,
            group: self.group.clone(),
            state: self.state(now),
            created: self.created.to_string(),
            expires: self.expires.to_string(),
            uses: self.uses,
            nodes: self.used.iter().take(NODES_SHOWN).map(|(node, _)| node.clone()).collect(),
            used: u32::try_from(self.used.len()).unwrap_or(u32::MAX),
        }
    }
}

/// Why a token cannot be made or changed.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The database does not work.
    #[error(transparent)]
    Kv(#[from] KvError),
    /// Beyond the bounds.
    #[error("token: {what}: expected 1 to {max}, found {found}")]
    Bound {
        /// `seconds of life` or `uses`.
        what: &'static str,
        /// The bound.
        max: u64,
        /// What was asked for.
        found: u64,
    },
    /// [`TOKENS_MAX`].
    #[error("token: {TOKENS_MAX} are kept already; revoked and expired ones go after a week")]
    Full,
    /// The id belongs to another token.
    #[error("token: {0} exists already")]
    Exists(TokenId),
    /// No such token.
    #[error("token: there is no {0}")]
    Unknown(TokenId),
    /// Others wrote the entry faster, again and again.
    #[error("token: {0} is written by too many at once")]
    Contended(TokenId),
}

/// Why a node is not let in. Only who proves the secret learns more than "wrong".
#[derive(Debug, thiserror::Error)]
pub enum JoinRefused {
    /// The database does not work.
    #[error(transparent)]
    Kv(#[from] KvError),
    /// No such token, or not its secret.
    #[error("join token: there is no such token, or its secret is another one")]
    Wrong,
    /// The text was changed: another group, another repository.
    #[error("join token: {0} is not what the token was made for")]
    Changed(&'static str),
    /// It exists, and cannot be used now.
    #[error("join token {id} {why}")]
    Unusable {
        /// Which.
        id: TokenId,
        /// `was used up`, `has expired`, `was revoked`.
        why: &'static str,
    },
    /// Others wrote the entry faster, again and again.
    #[error("join token {0} is used by too many at once; try again")]
    Contended(TokenId),
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Tokens {
    kv: Arc<dyn Kv>,
}

impl Tokens {
    /// The tokens in `kv`.
    pub fn new(kv: Arc<dyn Kv>) -> Self {
        Self { kv }
    }

    /// Keeps a new token. Doing it again with the same content is no error. Blocks.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn create(&self, new: NewToken, now: UnixTime) -> Result<TokenView, TokenError> {
        let bound = |what, max, found| {
            if (1..=max).contains(&found) { Ok(()) } else { Err(TokenError::Bound { what, max, found }) }
        };
        bound("seconds of life", TTL_MAX, new.ttl_s)?;
        bound("uses", USES_MAX.into(), new.uses.into())?;
        if self.purge(now)? >= TOKENS_MAX {
            return Err(TokenError::Full);
        }
        let entry = Entry {
            verifier: new.verifier,
            root: new.root,
            group: new.group,
            created: now,
            expires: now.plus_seconds(new.ttl_s.cast_signed()),
            uses: new.uses,
            used: Vec::new(),
            revoked: None,
        };
        if self.put(new.id, &entry, 0)? {
            return Ok(entry.view(new.id, now));
        }
        let (there, _) = self.read(new.id)?.ok_or(TokenError::Contended(new.id))?;
        let same =
            there.verifier.is(&entry.verifier) && (there.uses, &there.group) == (entry.uses, &entry.group);
        if same { Ok(there.view(new.id, now)) } else { Err(TokenError::Exists(new.id)) }
    }

    /// All tokens, the one that ends last first. Blocks.
    ///
    /// # Errors
    /// [`KvError`].
    pub fn all(&self, now: UnixTime) -> Result<Vec<TokenView>, KvError> {
        let mut all = self.scan()?;
        all.sort_by_key(|(id, entry, _)| (std::cmp::Reverse(entry.expires), *id));
        Ok(all.into_iter().map(|(id, entry, _)| entry.view(id, now)).collect())
    }

    /// Ends a token. Blocks.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn revoke(&self, id: TokenId, now: UnixTime) -> Result<TokenView, TokenError> {
        for _ in 0..SWAP_TRIES {
            let (mut entry, revision) = self.read(id)?.ok_or(TokenError::Unknown(id))?;
            entry.revoked.get_or_insert(now);
            if self.put(id, &entry, revision)? {
                return Ok(entry.view(id, now));
            }
        }
        Err(TokenError::Contended(id))
    }

    /// Uses a token once for `node` with `key`, durably. Blocks.
    ///
    /// # Errors
    /// [`JoinRefused`].
    pub fn spend(
        &self,
        join: &Joining,
        root: &Sha256,
        node: &NodeId,
        key: &NodePublicKey,
        now: UnixTime,
    ) -> Result<Option<Group>, JoinRefused> {
        for _ in 0..SWAP_TRIES {
            let (mut entry, revision) = match self.read(join.id)? {
                Some(found) => found,
                None => {
                    // As much work as with a token, so that ids cannot be searched for by the clock.
                    let _ = Verifier::from_bytes([0; 32]).accepts(&join.proof, node, key);
                    return Err(JoinRefused::Wrong);
                }
            };
            if !entry.verifier.accepts(&join.proof, node, key) {
                return Err(JoinRefused::Wrong);
            }
            if entry.root != *root {
                return Err(JoinRefused::Changed("the repository"));
            }
            if entry.group != join.group {
                return Err(JoinRefused::Changed("the group"));
            }
            let again = entry.used.iter().any(|(used, with)| used == node && with == key);
            let unusable = |why| JoinRefused::Unusable { id: join.id, why };
            match entry.state(now) {
                TokenState::Usable => {}
                TokenState::UsedUp if again => {}
                TokenState::UsedUp => return Err(unusable("was used up")),
                TokenState::Expired => return Err(unusable("has expired")),
                TokenState::Revoked | TokenState::Unknown => return Err(unusable("was revoked")),
            }
            if again {
                return Ok(entry.group);
            }
            entry.used.push((node.clone(), *key));
            if self.put(join.id, &entry, revision)? {
                return Ok(entry.group);
            }
        }
        Err(JoinRefused::Contended(join.id))
    }

    /// Whether this is the text of a token that can be used now. Nothing is spent: for boot scripts. Blocks.
    ///
    /// # Errors
    /// [`KvError`].
    pub fn usable(&self, token: &fleet_protocol::join::JoinToken, now: UnixTime) -> Result<bool, KvError> {
        let Some((entry, _)) = self.read(token.id)? else { return Ok(false) };
        let same = entry.verifier.is(&token.verifier());
        Ok(same && entry.group == token.group && entry.state(now) == TokenState::Usable)
    }

    /// Removes what ended long ago; gives the number of those that stay.
    fn purge(&self, now: UnixTime) -> Result<usize, KvError> {
        let mut stay = 0;
        for (id, entry, revision) in self.scan()? {
            let ended = entry.revoked.map_or(entry.expires, |revoked| revoked.min(entry.expires));
            if now.0.saturating_sub(ended.0) > KEPT {
                self.kv.delete(&key_of(id), revision)?;
            } else {
                stay += 1;
            }
        }
        Ok(stay)
    }

    fn scan(&self) -> Result<Vec<(TokenId, Entry, u64)>, KvError> {
        let mut all = Vec::new();
        self.kv.scan(PREFIX, &mut |key, found| {
            let id = key[PREFIX.len()..].parse::<TokenId>().ok();
            let entry = serde_json::from_slice::<Entry>(&found.value).ok();
            match id.zip(entry) {
                Some((id, entry)) => all.push((id, entry, found.revision)),
                None => tracing::warn!(key, "a join token's entry cannot be read; it lets nobody in"),
            }
        })?;
        Ok(all)
    }

    /// An entry that cannot be read lets nobody in.
    fn read(&self, id: TokenId) -> Result<Option<(Entry, u64)>, KvError> {
        let Some(found) = self.kv.get(&key_of(id))? else { return Ok(None) };
        Ok(serde_json::from_slice(&found.value).ok().map(|entry| (entry, found.revision)))
    }

    fn put(&self, id: TokenId, entry: &Entry, expected: u64) -> Result<bool, KvError> {
        let value = serde_json::to_vec(entry).expect("an entry has no maps and no floats");
        Ok(self.kv.put(&[Change { key: key_of(id), value, expected }])?.is_empty())
    }
}

fn key_of(id: TokenId) -> String {
    format!("{PREFIX}{id}")
}

#[cfg(test)]
mod tests {
    use fleet_protocol::identity::NodeKey;
    use fleet_protocol::join::JoinToken;

    use super::super::sqlite::Sqlite;
    use super::*;

    fn tokens(dir: &std::path::Path) -> Tokens {
        Tokens::new(Arc::new(Sqlite::open(&dir.join("fleet.db")).unwrap()))
    }

    fn root() -> Sha256 {
        Sha256::of(b"root")
    }

    fn token(id: u8, group: Option<&str>) -> JoinToken {
        JoinToken::new([id; 6], [7; 16], root(), group.map(|group| group.parse().unwrap()))
    }

    fn new(token: &JoinToken, ttl_s: u64, uses: u32) -> NewToken {
        let (id, verifier, root, group) = (token.id, token.verifier(), token.root, token.group.clone());
        NewToken { id, verifier, root, group, ttl_s, uses }
    }

    fn come(tokens: &Tokens, token: &JoinToken, node: &str, now: i64) -> Result<Option<Group>, String> {
        let node: NodeId = node.parse().unwrap();
        let key = NodeKey::from_seed(&[node.as_str().len() as u8; 32]).unwrap().public();
        let join = Joining { id: token.id, group: token.group.clone(), proof: token.proof(&node, &key) };
        let spent = tokens.spend(&join, &token.root, &node, &key, UnixTime(now));
        spent.map_err(|error| error.to_string())
    }

    #[test]
    fn a_token_lets_in_as_many_as_it_says_while_it_lives() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = tokens(dir.path());
        let token = token(1, Some("rack"));
        tokens.create(new(&token, 100, 2), UnixTime(1000)).unwrap();
        assert_eq!(come(&tokens, &token, "a", 1001), Ok(Some("rack".parse().unwrap())));
        assert_eq!(come(&tokens, &token, "a", 1002), Ok(Some("rack".parse().unwrap())), "the same use again");
        assert!(come(&tokens, &token, "bb", 1003).is_ok());
        let used_up = "join token 010101010101 was used up";
        assert_eq!(come(&tokens, &token, "ccc", 1004), Err(used_up.to_owned()));
        assert!(come(&tokens, &token, "bb", 1005).is_ok());
        assert_eq!(come(&tokens, &token, "a", 1100), Err("join token 010101010101 has expired".to_owned()));
        let view = &tokens.all(UnixTime(1050)).unwrap()[0];
        assert_eq!((view.state, view.used, view.nodes.len()), (TokenState::UsedUp, 2, 2));
    }

    #[test]
    fn what_is_wrong_is_refused_without_a_use() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = tokens(dir.path());
        let good = token(1, Some("rack"));
        tokens.create(new(&good, 100, 1), UnixTime(1000)).unwrap();
        let wrong = "join token: there is no such token, or its secret is another one";
        assert_eq!(come(&tokens, &token(2, None), "a", 1001), Err(wrong.to_owned()));
        let other_secret = JoinToken::new([1; 6], [8; 16], root(), good.group.clone());
        assert_eq!(come(&tokens, &other_secret, "a", 1001), Err(wrong.to_owned()));
        let cut = token(1, Some("rac"));
        assert_eq!(
            come(&tokens, &cut, "a", 1001),
            Err("join token: the group is not what the token was made for".to_owned())
        );
        let elsewhere = JoinToken::new([1; 6], [7; 16], Sha256::of(b"other"), good.group.clone());
        assert_eq!(
            come(&tokens, &elsewhere, "a", 1001),
            Err("join token: the repository is not what the token was made for".to_owned())
        );
        assert_eq!(tokens.all(UnixTime(1001)).unwrap()[0].used, 0);
        assert!(tokens.usable(&good, UnixTime(1001)).unwrap());
        for bad in [&cut, &other_secret, &token(2, None)] {
            assert!(!tokens.usable(bad, UnixTime(1001)).unwrap());
        }
        tokens.revoke(good.id, UnixTime(1002)).unwrap();
        assert_eq!(come(&tokens, &good, "a", 1003), Err("join token 010101010101 was revoked".to_owned()));
        assert!(!tokens.usable(&good, UnixTime(1003)).unwrap());
        assert!(matches!(
            tokens.revoke(TokenId::from_bytes([9; 6]), UnixTime(1)),
            Err(TokenError::Unknown(_))
        ));
    }

    #[test]
    fn only_a_hash_of_the_secret_is_on_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = tokens(dir.path());
        let secret = [0xab; 16];
        let token = JoinToken::new([1; 6], secret, root(), None);
        tokens.create(new(&token, 100, 1), UnixTime(1000)).unwrap();
        let stored = tokens.kv.get("join/010101010101").unwrap().unwrap().value;
        let text = String::from_utf8(stored).unwrap();
        assert!(!text.contains("abababab"), "{text}");
    }

    #[test]
    fn bounds_hold_and_old_tokens_go() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = tokens(dir.path());
        let token = token(1, None);
        for (ttl, uses) in [(0, 1), (TTL_MAX + 1, 1), (1, 0), (1, USES_MAX + 1)] {
            let refused = tokens.create(new(&token, ttl, uses), UnixTime(0));
            assert!(matches!(refused, Err(TokenError::Bound { .. })), "{ttl} {uses}");
        }
        tokens.create(new(&token, 100, 1), UnixTime(1000)).unwrap();
        tokens.create(new(&token, 100, 1), UnixTime(1000)).unwrap();
        let other = JoinToken::new([1; 6], [9; 16], root(), None);
        assert!(matches!(tokens.create(new(&other, 100, 1), UnixTime(1000)), Err(TokenError::Exists(_))));
        let next = JoinToken::new([2; 6], [9; 16], root(), None);
        tokens.create(new(&next, 100, 1), UnixTime(1101 + KEPT)).unwrap();
        let ids: Vec<TokenId> = tokens.all(UnixTime(0)).unwrap().into_iter().map(|view| view.id).collect();
        assert_eq!(ids, [next.id]);
    }

    #[test]
    fn many_at_once_spend_no_use_twice() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = tokens(dir.path());
        let token = token(1, None);
        tokens.create(new(&token, 100, 3), UnixTime(1000)).unwrap();
        let let_in = std::thread::scope(|scope| {
            let come = |length: usize| {
                let (tokens, token) = (&tokens, &token);
                scope.spawn(move || come(tokens, token, &"n".repeat(length), 1001).is_ok())
            };
            let all: Vec<_> = (1..=8).map(come).collect();
            all.into_iter().map(|one| one.join().unwrap()).filter(|one| *one).count()
        });
        assert_eq!(let_in, 3);
    }
}

//! From signed metadata to the one image that this node should run.
//!
//! Two parties must agree: the pin of the node's group names an image with its digest, and the releases list the same image with
//! the same digest. The group comes from signed assignments, never from the server's word. Whoever has the server or one of
//! the two keys can at most repeat what was signed before.

use image_format::document::DocumentError;
use image_format::manifest::MANIFEST_MAX;
use image_format::patches::patches_path;
use image_format::pin::{ASSIGNMENTS_MAX, ASSIGNMENTS_PATH, Assignments, PIN_MAX, Pin, pin_path};
use image_format::record::{Record, TrustedText};
use image_format::{Group, ImageName, Manifest, NodeId, Sha256};
use signing::{Client, Fetch, RefreshError, TargetInfo, TrustError, UnixTime, find_target, refresh};

use super::fetch::Server;
use super::trusted::Start;
use super::{clock, floor, trusted};
use crate::http::HttpError;

/// The architecture that this agent is built for, in Debian's words.
const ARCH: &str = "amd64";

/// The only hardware class that fits a node of which nothing more is known.
const CLASS: &str = "generic";

/// What a node should run, verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    /// The node's group.
    pub group: Group,
    /// The group's pin.
    pub pin: Pin,
    /// The image.
    pub manifest: Manifest,
    /// Its manifest's bytes.
    pub manifest_bytes: Vec<u8>,
    /// Their digest: the image's identity.
    pub digest: Sha256,
    /// The signed list of patches to the image, if there is one. Only named here: it is fetched when something is installed.
    pub patches: Option<TargetInfo>,
    /// When the image was made, as signed: no clock may say less from now on.
    pub signed_time: Option<UnixTime>,
}

/// Why it is not known what this node should run.
#[derive(Debug, thiserror::Error)]
pub enum WishError {
    /// The server cannot be reached or does not answer properly.
    #[error("cannot get {what} from the server")]
    Server {
        /// File or target.
        what: String,
        /// What happened.
        source: HttpError,
    },
    /// The metadata are not trusted.
    #[error("metadata of the server are not trusted")]
    Trust(#[source] TrustError),
    /// A target has other bytes than was signed.
    #[error(
        "{path}: expected {length} bytes with SHA-256 {expected}, found {found_length} bytes with {found}"
    )]
    Target {
        /// Target path.
        path: String,
        /// Signed length.
        length: u64,
        /// Signed digest.
        expected: Sha256,
        /// Received length.
        found_length: u64,
        /// Digest of what was received.
        found: Sha256,
    },
    /// A target is longer than anything of its kind.
    #[error("{path}: {length} bytes are signed, at most {max} are read (endless data)")]
    TooLong {
        /// Target path.
        path: String,
        /// Signed length.
        length: u64,
        /// The limit.
        max: u64,
    },
    /// A verified target cannot be understood.
    #[error("{path} cannot be used")]
    Document {
        /// Target path.
        path: String,
        /// What is wrong with it.
        source: DocumentError,
    },
    /// A verified target is no text, so it cannot be kept as such.
    #[error("{path} is not UTF-8")]
    NotText {
        /// Target path.
        path: String,
    },
    /// Nobody assigned the node.
    #[error("node {node} is in no group: assign it, or set a default group")]
    NoGroup {
        /// This node.
        node: NodeId,
    },
    /// The group has no pin.
    #[error("group {group} has no pin: pin an image for it")]
    NoPin {
        /// The group.
        group: Group,
    },
    /// One group's pin stands for another's.
    #[error("pin of group {group}: expected that group inside, found {found}")]
    ForeignPin {
        /// The group asked for.
        group: Group,
        /// The group inside.
        found: Group,
    },
    /// The pin names what the releases do not list.
    #[error("pinned image {name} is not released")]
    NotReleased {
        /// The image.
        name: ImageName,
    },
    /// Pin and releases disagree.
    #[error("pinned image {name}: the pin says manifest {pinned}, the releases list {released}")]
    Disagreement {
        /// The image.
        name: ImageName,
        /// What the pin says.
        pinned: Sha256,
        /// What the releases say.
        released: Sha256,
    },
    /// The manifest describes another image than its name.
    #[error("manifest of {name}: expected that image inside, found {found}")]
    ForeignManifest {
        /// The image asked for.
        name: ImageName,
        /// The image inside.
        found: ImageName,
    },
    /// The image is for other machines.
    #[error("image {name}: its {what} is {found:?}, this node's is {expected:?}")]
    Unfit {
        /// The image.
        name: ImageName,
        /// `arch` or `class`.
        what: &'static str,
        /// This node's.
        expected: &'static str,
        /// The image's.
        found: String,
    },
    /// The image was withdrawn by the signed floor.
    #[error("image {name} has release counter {counter}, the signed floor of its role is {floor}")]
    BelowFloor {
        /// The image.
        name: ImageName,
        /// Its counter.
        counter: u64,
        /// The floor.
        floor: u64,
    },
}

impl WishError {
    /// Whether the server is to blame for not answering, rather than the answer.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Server { source, .. } if source.is_transient())
    }
}

/// What a refresh brought: files worth keeping in any case, and the wish.
#[derive(Debug)]
pub struct Refreshed {
    /// Verified files, to be kept also after an error; none when not even a root verified.
    pub trusted: Option<TrustedText>,
    /// The roots after the embedded one, for the record.
    pub roots: Vec<String>,
    /// The wish.
    pub wish: Result<Wish, WishError>,
}

/// Asks the server what `node` should run: beginning with the root `embedded` in the initramfs, and with what `record` keeps.
/// `enrolled` is the group that the node was enrolled for. `now` is the time that expiry is checked against.
pub fn ask(
    server: &mut Server,
    embedded: &[u8],
    record: &Record,
    node: &NodeId,
    enrolled: Option<&Group>,
    now: UnixTime,
) -> Refreshed {
    let Start { files, roots } = trusted::start(embedded, record);
    let mut client = match Client::new(files, now) {
        Ok(client) => client,
        Err(error) => return Refreshed { trusted: None, roots, wish: Err(WishError::Trust(error)) },
    };
    let kept = record.trusted.as_ref();
    let mut asked = Asked {
        assignments: kept.and_then(|kept| kept.assignments.clone()),
        pin: kept.and_then(|kept| kept.pin.clone()),
        roots: Vec::new(),
    };
    let wish = asked.wish(&mut client, server, node, enrolled);
    let roots = trusted::roots(roots, asked.roots, &client);
    let trusted = trusted::text(client.trusted(), asked.assignments, asked.pin);
    Refreshed { trusted: Some(trusted), roots, wish }
}

/// The two targets of this node: as kept, then as signed now; and what else comes by.
struct Asked {
    assignments: Option<String>,
    pin: Option<String>,
    /// Roots that the server has given.
    roots: Vec<Vec<u8>>,
}

impl Asked {
    fn wish(
        &mut self,
        client: &mut Client,
        server: &mut Server,
        node: &NodeId,
        enrolled: Option<&Group>,
    ) -> Result<Wish, WishError> {
        let fetch = |wanted: &Fetch| {
            let file = server.metadata(&wanted.name, wanted.max_len)?;
            self.roots.extend(file.iter().filter(|_| wanted.name.ends_with(".root.json")).cloned());
            Ok(file)
        };
        refresh(client, fetch).map_err(refused)?;

        let no_group = || WishError::NoGroup { node: node.clone() };
        let assignments = match find(client, server, ASSIGNMENTS_PATH)? {
            Some(found) => {
                let text = target(server, &found, ASSIGNMENTS_MAX, &mut self.assignments)?;
                Assignments::parse(text.as_bytes()).map_err(document(&found.path))?
            }
            // Where nobody is assigned, the enrolment alone says where the node belongs.
            None => Assignments::empty(),
        };
        let group = assignments.group_with(node, enrolled).ok_or_else(no_group)?.clone();

        let no_pin = || WishError::NoPin { group: group.clone() };
        let found = find(client, server, &pin_path(&group))?.ok_or_else(no_pin)?;
        let text = target(server, &found, PIN_MAX, &mut self.pin)?;
        let pin = Pin::parse(text.as_bytes()).map_err(document(&found.path))?;
        if pin.group != group {
            return Err(WishError::ForeignPin { group, found: pin.group });
        }

        let name = &pin.stable.name;
        let not_released = || WishError::NotReleased { name: name.clone() };
        let found = find(client, server, &name.target_path())?.ok_or_else(not_released)?;
        let released = Sha256::from_bytes(found.sha256().map_err(WishError::Trust)?);
        if released != pin.stable.manifest {
            return Err(WishError::Disagreement {
                name: name.clone(),
                pinned: pin.stable.manifest,
                released,
            });
        }
        let manifest_bytes = target_bytes(server, &found, MANIFEST_MAX)?;
        let manifest = Manifest::parse(&manifest_bytes).map_err(document(&found.path))?;
        check(&manifest, name, floor::signed(client, &name.role))?;
        let expires = client.timestamp().map(|timestamp| timestamp.expires);
        let signed_time = expires.and_then(|expires| clock::bound(UnixTime(manifest.epoch), expires));
        // It only makes the way cheaper: whatever is wrong with it, the image can be had without.
        let patches = find(client, server, &patches_path(name)).ok().flatten();
        Ok(Wish { group, manifest, manifest_bytes, digest: released, pin, patches, signed_time })
    }
}

/// What a verified manifest must say beyond its shape.
fn check(manifest: &Manifest, name: &ImageName, floor: u64) -> Result<(), WishError> {
    let unfit = |what, expected, found: &str| WishError::Unfit {
        name: name.clone(),
        what,
        expected,
        found: found.to_owned(),
    };
    if manifest.name != *name {
        return Err(WishError::ForeignManifest { name: name.clone(), found: manifest.name.clone() });
    }
    if manifest.arch != ARCH {
        return Err(unfit("arch", ARCH, &manifest.arch));
    }
    if manifest.class != CLASS {
        return Err(unfit("class", CLASS, &manifest.class));
    }
    if manifest.counter < floor {
        return Err(WishError::BelowFloor { name: name.clone(), counter: manifest.counter, floor });
    }
    Ok(())
}

fn refused(error: RefreshError<HttpError>) -> WishError {
    match error {
        RefreshError::Fetch { name, source } => {
            WishError::Server { what: format!("metadata {name}"), source }
        }
        RefreshError::Trust(error) => WishError::Trust(error),
    }
}

fn document(path: &str) -> impl FnOnce(DocumentError) -> WishError {
    let path = path.to_owned();
    move |source| WishError::Document { path, source }
}

fn find(client: &mut Client, server: &mut Server, path: &str) -> Result<Option<TargetInfo>, WishError> {
    find_target(client, path, |wanted| server.metadata(&wanted.name, wanted.max_len)).map_err(refused)
}

/// A target's text: the kept one when it is still the signed one, else from the server, and kept from then on.
fn target(
    server: &mut Server,
    found: &TargetInfo,
    max: u64,
    kept: &mut Option<String>,
) -> Result<String, WishError> {
    if let Some(text) = kept
        && found.matches(text.as_bytes())
    {
        return Ok(text.clone());
    }
    let bytes = target_bytes(server, found, max)?;
    let text = String::from_utf8(bytes).map_err(|_| WishError::NotText { path: found.path.clone() })?;
    *kept = Some(text.clone());
    Ok(text)
}

pub(super) fn target_bytes(server: &mut Server, found: &TargetInfo, max: u64) -> Result<Vec<u8>, WishError> {
    let TargetInfo { path, length, .. } = found;
    let sha256 = found.sha256().map_err(WishError::Trust)?;
    if *length > max {
        return Err(WishError::TooLong { path: path.clone(), length: *length, max });
    }
    let bytes = server
        .target(path, &sha256, *length)
        .map_err(|source| WishError::Server { what: path.clone(), source })?;
    let digest = Sha256::of(&bytes);
    if !found.matches(&bytes) {
        return Err(WishError::Target {
            path: path.clone(),
            length: *length,
            expected: Sha256::from_bytes(sha256),
            found_length: bytes.len() as u64,
            found: digest,
        });
    }
    Ok(bytes)
}

//! What `imgserver serve` is told.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::boot::host::BaseUrl;
use crate::care::ScrubSettings;
use crate::net::Limits;
use crate::online::OnlineSettings;

/// Settings of a server.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The data directory; made when it is not there.
    pub data: PathBuf,
    /// Address of the delivery listener; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Address of the admin listener; port 0 takes a free one.
    pub admin: SocketAddr,
    /// Base URL of the delivery listener in scripts, instead of the Host header.
    pub public_url: Option<BaseUrl>,
    /// Base URL of the admin listener in scripts, instead of the same host with the admin port.
    pub public_admin_url: Option<BaseUrl>,
    /// Limits of each listener.
    pub limits: Limits,
    /// How snapshot and timestamp are signed, if there are keys for that in the data directory.
    pub online: OnlineSettings,
    /// How the store is scrubbed.
    pub scrub: ScrubSettings,
}

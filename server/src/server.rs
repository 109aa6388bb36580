//! A running server: both listeners and the housekeeping, from start to drain.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::FlockOperation;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::admin;
use crate::app::App;
use crate::atomic::atomic_write;
use crate::boot::host::UrlSettings;
use crate::care;
use crate::content::{Content, ContentError};
use crate::delivery;
use crate::fleet::Inventory;
use crate::fleet::inventory::InventoryError;
use crate::fleet::kv::KvError;
use crate::fleet::sqlite::Sqlite;
use crate::metrics::Metrics;
use crate::net::descriptors::make_room;
use crate::net::listener::{Listener, Site, Swift};
use crate::net::workers::Workers;
use crate::online::{self, KeyDir, KeyDirError, Online};
use crate::settings::Settings;
use crate::token::{TokenError, TokenFile};

/// Where the addresses of a running server stand, in the data directory: `{"delivery":"IP:PORT","admin":"IP:PORT","pid":N}`.
pub const LISTEN_FILE: &str = "listen.json";
/// How often noted boot requests are written, and the directory is looked at for publications by others.
const TEND_INTERVAL: Duration = Duration::from_secs(1);

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be made or used.
    #[error("data directory {}", path.display())]
    Data {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another server runs on it.
    #[error("data directory {}: another imgserver uses it", .0.display())]
    InUse(PathBuf),
    /// An address cannot be listened on.
    #[error("listen on {address}")]
    Bind {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The threads of the delivery listener.
    #[error("start the threads of the delivery listener")]
    Workers(#[source] io::Error),
    /// The store.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The inventory's file.
    #[error(transparent)]
    Kv(#[from] KvError),
    /// The inventory's content.
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    /// The admin's token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The keys of snapshot and timestamp.
    #[error(transparent)]
    Keys(#[from] KeyDirError),
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    /// Address of the delivery listener.
    pub delivery: SocketAddr,
    /// Address of the admin listener.
    pub admin: SocketAddr,
    app: Arc<App>,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    listen_file: PathBuf,
    lock: File,
}

impl Server {
    /// Starts a server; it listens when this returns. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let at_data = |source| StartError::Data { path: settings.data.clone(), source };
        let joined = |error: tokio::task::JoinError| at_data(io::Error::other(error));
        make_room(&settings.limits, 2);
        let metrics = Metrics::new();
        let bind = |address| {
            let listener = Listener::bind(address, settings.limits.clone(), metrics.clone());
            let listener = listener.and_then(|listener| Ok((listener.address()?, listener)));
            listener.map_err(|source| StartError::Bind { address, source })
        };
        let data = settings.data.clone();
        let (lock, opened) = tokio::task::spawn_blocking(move || open(&data)).await.map_err(joined)??;
        let ((delivery, delivery_listener), (admin, admin_listener)) =
            (bind(settings.listen)?, bind(settings.admin)?);
        let urls = UrlSettings {
            delivery: settings.public_url.clone(),
            admin: settings.public_admin_url.clone(),
            admin_port: admin.port(),
        };
        let online = Online::new(&settings.data, settings.online.clone());
        let app = App::new(opened.content, opened.inventory, metrics.clone(), opened.token, urls, online);
        tracing::info!(%delivery, %admin, "listening");

        // Uploads and questions of admins share no thread with the delivery.
        let workers = Workers::start().map_err(StartError::Workers)?;
        let swift = delivery::swift(app.clone());
        let delivery_site = Site { name: "delivery", routes: delivery::router(app.clone()), swift };
        let admin_site = Site { name: "admin", routes: admin::router(app.clone()), swift: Swift::NONE };
        let (stop, stopped) = watch::channel(false);
        let tasks = vec![
            tokio::spawn(delivery_listener.serve(delivery_site, Some(workers), stopped.clone())),
            tokio::spawn(admin_listener.serve(admin_site, None, stopped.clone())),
            tokio::spawn(tend(app.clone(), stopped.clone())),
            tokio::spawn(care::run(app.clone(), settings.scrub.clone(), stopped.clone())),
            tokio::spawn(online::run(app.clone(), stopped)),
        ];
        let listen_file = settings.data.join(LISTEN_FILE);
        let addresses = serde_json::json!({
            "delivery": delivery.to_string(), "admin": admin.to_string(), "pid": std::process::id(),
        });
        atomic_write(&listen_file, format!("{addresses}\n").as_bytes(), 0o644).map_err(at_data)?;
        Ok(Self { delivery, admin, app, stop, tasks, listen_file, lock })
    }

    /// What the listeners share.
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Stops accepting, lets running answers end within the drain time, and writes what is noted.
    pub async fn stop(mut self) {
        let _ = std::fs::remove_file(&self.listen_file);
        self.stop.send_replace(true);
        for task in self.tasks.drain(..) {
            if let Err(error) = task.await {
                tracing::error!(%error, "a task of the server ended badly");
            }
        }
        // Closing does not do while a process that is just being started has a copy of the descriptor.
        let _ = rustix::fs::flock(&self.lock, FlockOperation::Unlock);
        tracing::info!("stopped");
    }
}

struct Opened {
    content: Content,
    inventory: Inventory,
    token: TokenFile,
}

fn open(data: &Path) -> Result<(File, Opened), StartError> {
    let lock = lock(data)?;
    // A leftover of a killed server would tell wrong addresses.
    let _ = std::fs::remove_file(data.join(LISTEN_FILE));
    let token = TokenFile::of(data);
    if token.ensure()? {
        tracing::info!(file = %token.path().display(), "made the admin's token");
    }
    // Refused now rather than found out when the timestamp is about to expire.
    match KeyDir::of(data).load()? {
        Some(_) => tracing::info!("snapshot and timestamp are signed here"),
        None => tracing::info!("no online keys: snapshot and timestamp are signed by who publishes"),
    }
    let kv = Sqlite::open(&data.join("fleet.db"))?;
    let inventory = Inventory::open(Arc::new(kv))?;
    Ok((lock, Opened { content: Content::open(data)?, inventory, token }))
}

/// Makes the data directory and takes it for this process.
fn lock(data: &Path) -> Result<File, StartError> {
    let failed = |source| StartError::Data { path: data.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o755).create(data).map_err(failed)?;
    let path = data.join("server.lock");
    let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(failed)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StartError::InUse(data.to_owned())),
        Err(errno) => Err(failed(errno.into())),
    }
}

/// Housekeeping until the stop, and once after it.
async fn tend(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    loop {
        let stopping = tokio::time::timeout(TEND_INTERVAL, stop.wait_for(|stop| *stop)).await.is_ok();
        let app = app.clone();
        let tended = app.blocking(|app| {
            app.tend();
            Ok(())
        });
        if let Err(error) = tended.await {
            tracing::error!(reason = %error.for_log(), "housekeeping failed");
        }
        if stopping {
            return;
        }
    }
}

//! `imgserver serve`.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crate::boot::host::BaseUrl;
use crate::logging::{self, LogFormat};
use crate::net::Limits;
use crate::server::Server;
use crate::settings::Settings;

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The data directory; made when it is not there.
    #[arg(long, value_name = "DIR", env = "BASCULE_DATA")]
    data: PathBuf,
    /// Address of the delivery listener (for nodes); port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:7080")]
    listen: SocketAddr,
    /// Address of the admin listener (for imgtool, and nodes' reports); port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:7081")]
    admin: SocketAddr,
    /// Delivery URL in boot scripts, http://HOST[:PORT]; without it the host that the node asked.
    #[arg(long, value_name = "URL")]
    public_url: Option<BaseUrl>,
    /// Admin URL in boot scripts, http://HOST[:PORT]; without it the delivery host with the admin port.
    #[arg(long, value_name = "URL")]
    public_admin_url: Option<BaseUrl>,
    /// Form of the log on standard error. RUST_LOG filters it.
    #[arg(long, value_enum, default_value_t)]
    log: LogFormat,
    /// Most open connections of each listener; beyond, 503.
    #[arg(long, value_name = "N", default_value_t = Limits::default().connections)]
    max_connections: usize,
    /// Most open connections of one address at each listener; beyond, 503.
    #[arg(long, value_name = "N", default_value_t = Limits::default().per_address)]
    max_per_address: usize,
    /// Seconds that running answers have to end after SIGTERM.
    #[arg(long, value_name = "SECONDS", default_value_t = Limits::default().drain.as_secs())]
    drain: u64,
}

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
/// The server does not start.
pub fn run(args: Args) -> anyhow::Result<()> {
    logging::start(args.log);
    let limits = Limits {
        connections: args.max_connections,
        per_address: args.max_per_address,
        drain: std::time::Duration::from_secs(args.drain),
        ..Limits::default()
    };
    let settings = Settings {
        data: args.data,
        listen: args.listen,
        admin: args.admin,
        public_url: args.public_url,
        public_admin_url: args.public_admin_url,
        limits,
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start the runtime")?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("listen for SIGINT")?;
        let server = Server::start(settings).await?;
        tokio::select! {
            _ = terminate.recv() => tracing::info!("SIGTERM: stopping"),
            _ = interrupt.recv() => tracing::info!("SIGINT: stopping"),
        }
        server.stop().await;
        Ok(())
    })
}

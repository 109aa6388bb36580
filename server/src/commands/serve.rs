//! `imgserver serve`.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;

use anyhow::Context;
use signing::online::OnlineLifetimes;
use tokio::signal::unix::{SignalKind, signal};

use crate::boot::host::BaseUrl;
use crate::care::ScrubSettings;
use crate::logging::{self, LogFormat};
use crate::net::Limits;
use crate::online::{OnlineSettings, Plan};
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
    /// Minutes between two timestamps, if there are online keys (`imgserver keys new`).
    #[arg(long, value_name = "MINUTES", default_value_t = 60)]
    timestamp_every: u32,
    /// Days that a timestamp is valid: so old may be what a node is shown by who cuts it off.
    #[arg(long, value_name = "DAYS", default_value_t = 1)]
    timestamp_days: u32,
    /// Days that a snapshot is valid; it is signed anew when half of them are left.
    #[arg(long, value_name = "DAYS", default_value_t = 7)]
    snapshot_days: u32,
    /// Sign although the last timestamp was signed at a time that is still to come: after the clock was wrong, and is right now.
    #[arg(long)]
    accept_earlier_clock: bool,
    /// MiB a second that the store is read at to find damage, once a day; 0: not at all.
    #[arg(long, value_name = "MIB", default_value_t = 16)]
    scrub_mib_s: u32,
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
    let days = |days: u32| i64::from(days) * 86_400;
    let lifetimes =
        OnlineLifetimes { snapshot: days(args.snapshot_days), timestamp: days(args.timestamp_days) };
    let plan = Plan::new(i64::from(args.timestamp_every) * 60, lifetimes).context("online signing")?;
    let plan = plan.accept_earlier_clock(args.accept_earlier_clock);
    let settings = Settings {
        data: args.data,
        listen: args.listen,
        admin: args.admin,
        public_url: args.public_url,
        public_admin_url: args.public_admin_url,
        limits,
        online: OnlineSettings { plan, ..OnlineSettings::default() },
        scrub: ScrubSettings {
            rate: NonZeroU64::new(u64::from(args.scrub_mib_s) << 20),
            ..ScrubSettings::default()
        },
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

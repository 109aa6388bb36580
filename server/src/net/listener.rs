//! The accept loop of one listener, and each connection's life.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::gate::{Gate, Pass};
use super::guarded::Guarded;
use super::limits::{BACKLOG, HEAD_MAX, HEADERS_MAX, Limits, SEND_BUFFER};
use super::phase::Phase;
use super::shed::Shed;
use crate::http::Peer;
use crate::http::answer::finish;
use crate::http::error::{Chain, Refusal};
use crate::http::route::Word;
use crate::http::tail::{Record, Tail};
use crate::metrics::{Metrics, OpenConnection};

/// Longest part of a path in the log, in bytes.
const LOGGED_PATH_MAX: usize = 200;
/// Pause after an accept that failed for lack of descriptors: the backlog waits, we do not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a listener serves.
#[derive(Debug, Clone)]
pub struct Site {
    /// Name of the listener in logs and metrics.
    pub name: &'static str,
    /// What answers its requests.
    pub routes: Router,
}

/// A bound listener that does not accept yet.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    limits: Limits,
    gate: Arc<Gate>,
    metrics: Arc<Metrics>,
}

impl Listener {
    /// Binds `address`; port 0 takes a free one.
    ///
    /// # Errors
    /// Whatever the operating system says.
    pub fn bind(address: SocketAddr, limits: Limits, metrics: Arc<Metrics>) -> io::Result<Self> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        // Accepted connections inherit it.
        socket.set_send_buffer_size(SEND_BUFFER)?;
        socket.bind(address)?;
        let gate = Gate::new(limits.connections, limits.per_address);
        Ok(Self { socket: socket.listen(BACKLOG)?, limits, gate, metrics })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// Whatever the operating system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts until `stop` turns true, then lets running answers end, at most for [`Limits::drain`].
    pub async fn serve(self, site: Site, mut stop: watch::Receiver<bool>) {
        let shed = Shed::default();
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                accepted = self.socket.accept() => accepted,
                () = stopped(&mut stop) => break,
                Some(_) = connections.join_next() => continue,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(listener = site.name, %error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            match self.gate.enter(peer.ip()) {
                Ok(pass) => {
                    let connection = Connection {
                        _places: (pass, self.metrics.opened(site.name)),
                        peer: peer.ip(),
                        limits: self.limits.clone(),
                        metrics: self.metrics.clone(),
                        site: site.clone(),
                        stop: stop.clone(),
                    };
                    connections.spawn(connection.run(stream));
                }
                Err(full) => {
                    self.metrics.rejected(site.name);
                    tracing::warn!(listener = site.name, peer = %peer.ip(), reason = %full, "turned away");
                    shed.turn_away(stream, &full.to_string());
                }
            }
        }
        // New connections are refused from here on, while the running ones end.
        drop(self.socket);
        let drained = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(self.limits.drain, drained).await.is_err() {
            tracing::warn!(listener = site.name, cut = connections.len(), "drain time over");
            connections.shutdown().await;
        }
    }
}

struct Connection {
    _places: (Pass, OpenConnection),
    peer: IpAddr,
    limits: Limits,
    metrics: Arc<Metrics>,
    site: Site,
    stop: watch::Receiver<bool>,
}

impl Connection {
    async fn run(mut self, stream: TcpStream) {
        // Small answers must not wait for the ACK of the head before them.
        let _ = stream.set_nodelay(true);
        let phase = Arc::new(Phase::new(self.limits.head, self.limits.idle));
        let io = TokioIo::new(Guarded::new(stream, phase.clone(), self.limits.write_stall));
        let (peer, metrics, site) = (self.peer, self.metrics.clone(), self.site.clone());
        let answer = service_fn({
            let phase = phase.clone();
            move |request| {
                phase.busy();
                respond(site.clone(), request, peer, metrics.clone(), phase.clone())
            }
        });
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            // The second line behind `Phase`, for heads that were pipelined behind a request.
            .header_read_timeout(self.limits.idle.max(self.limits.head))
            .max_header_size(HEAD_MAX)
            .max_headers(HEADERS_MAX)
            .serve_connection(io, answer);
        let mut served = pin!(served);
        let mut stopping = false;
        let ended = loop {
            tokio::select! {
                ended = served.as_mut() => break ended.map_err(|error| Chain(&error).to_string()),
                overdue = phase.overdue() => break Err(overdue.to_string()),
                () = stopped(&mut self.stop), if !stopping => {
                    stopping = true;
                    served.as_mut().graceful_shutdown();
                }
            }
        };
        if let Err(reason) = ended {
            tracing::debug!(listener = self.site.name, %peer, %reason, "connection ended");
        }
    }
}

/// Resolves when `stop` is true, or when whoever could say so is gone.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

async fn respond(
    site: Site,
    mut request: Request<Incoming>,
    peer: IpAddr,
    metrics: Arc<Metrics>,
    phase: Arc<Phase>,
) -> Result<Response<Tail>, Infallible> {
    let start = Instant::now();
    let method = request.method().clone();
    let path = request.uri().path().chars().take(LOGGED_PATH_MAX).collect();
    request.extensions_mut().insert(Peer(peer));
    let Ok(mut response) = TowerToHyperService::new(site.routes).call(request).await;
    let status = response.status();
    finish(status, response.headers_mut());
    let reason = response.extensions_mut().remove().map(|Refusal { reason, .. }| reason);
    let route = Word::of(&response);
    let record = Record { listener: site.name, route, method, path, status, peer, start, reason };
    Ok(response.map(|body| Tail::new(body, record, metrics, phase)))
}

//! The accept loop of one listener, and each connection's life.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::{Request, Response};
use axum::response::Response as AxumResponse;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::gate::{Gate, Pass};
use super::guarded::Guarded;
use super::limits::{BACKLOG, HEAD_MAX, HEADERS_MAX, Limits, UNSENT_MAX};
use super::phase::Phase;
use super::shed::Shed;
use super::workers::Workers;
use crate::http::Peer;
use crate::http::answer::finish;
use crate::http::error::{Chain, Refusal};
use crate::http::route::Word;
use crate::http::tail::{Record, Tail};
use crate::metrics::{Metrics, OpenConnection};

/// Bytes of an answer that are waiting to be written when no more are read: with it, a reader that takes nothing holds one piece.
const UNWRITTEN_MAX: usize = 64 << 10;
/// Pause after an accept that failed for lack of descriptors: the backlog waits, we do not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a listener serves.
#[derive(Debug, Clone)]
pub struct Site {
    /// Name of the listener in logs and metrics.
    pub name: &'static str,
    /// What answers its requests.
    pub routes: Router,
    /// Answers some of them without the way through the routes, exactly as those would.
    pub swift: Swift,
}

/// See [`Site::swift`].
#[derive(Clone)]
pub struct Swift(Option<Arc<Answer>>);

/// Answers a request, or leaves it to the routes.
type Answer = dyn Fn(&Request<Incoming>) -> Option<AxumResponse> + Send + Sync;

impl std::fmt::Debug for Swift {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Swift({})", self.0.is_some())
    }
}

impl Swift {
    /// All requests go through the routes.
    pub const NONE: Self = Self(None);

    /// Those that `answer` answers do not.
    pub fn new(answer: impl Fn(&Request<Incoming>) -> Option<AxumResponse> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(answer)))
    }
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
        SockRef::from(&socket).set_tcp_notsent_lowat(UNSENT_MAX)?;
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

    /// Accepts until `stop` turns true, then lets running answers end, at most for [`Limits::drain`]. Connections run on `workers`,
    /// or beside the listener if there are none.
    pub async fn serve(self, site: Site, workers: Option<Workers>, mut stop: watch::Receiver<bool>) {
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
                    match &workers {
                        None => connections.spawn(connection.run(stream)),
                        Some(workers) => connections.spawn_on(connection.moved(stream), workers.next()),
                    };
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
    /// Runs on another runtime than the one that has accepted it, which then hears no more of it.
    async fn moved(self, stream: TcpStream) {
        let (listener, peer) = (self.site.name, self.peer);
        match stream.into_std().and_then(TcpStream::from_std) {
            Ok(stream) => self.run(stream).await,
            Err(error) => tracing::warn!(listener, %peer, %error, "connection cannot be taken over"),
        }
    }

    async fn run(mut self, stream: TcpStream) {
        // Small answers must not wait for the ACK of the head before them.
        let _ = stream.set_nodelay(true);
        let phase = Arc::new(Phase::new(self.limits.head, self.limits.idle));
        let io = TokioIo::new(Guarded::new(stream, phase.clone(), self.limits.write_stall));
        let (peer, metrics, site) = (self.peer, self.metrics.clone(), Arc::new(self.site.clone()));
        let answer = service_fn({
            let phase = phase.clone();
            move |request| {
                phase.busy();
                respond(site.clone(), request, peer, metrics.clone(), phase.clone())
            }
        });
        let served = http1::Builder::new()
            // `Phase` does it, with one timer for the life of a connection instead of one for each request.
            .header_read_timeout(None)
            .max_header_size(HEAD_MAX)
            .max_buf_size(UNWRITTEN_MAX)
            .max_headers(HEADERS_MAX)
            .serve_connection(io, answer);
        let mut served = pin!(served);
        let mut overdue = phase.overdue();
        let mut stopping = false;
        let ended = loop {
            tokio::select! {
                // The watchdog comes behind what changes the phase.
                biased;
                ended = served.as_mut() => break ended.map_err(|error| Chain(&error).to_string()),
                () = stopped(&mut self.stop), if !stopping => {
                    stopping = true;
                    served.as_mut().graceful_shutdown();
                }
                overdue = &mut overdue => break Err(overdue.to_string()),
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
    site: Arc<Site>,
    mut request: Request<Incoming>,
    peer: IpAddr,
    metrics: Arc<Metrics>,
    phase: Arc<Phase>,
) -> Result<Response<Tail>, Infallible> {
    let start = Instant::now();
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let swift = site.swift.0.as_ref().and_then(|swift| swift(&request));
    let mut response = match swift {
        Some(response) => response,
        None => {
            request.extensions_mut().insert(Peer(peer));
            let Ok(response) = TowerToHyperService::new(site.routes.clone()).call(request).await;
            response
        }
    };
    let status = response.status();
    finish(status, response.headers_mut());
    let reason = response.extensions_mut().remove().map(|Refusal { reason, .. }| reason);
    let route = Word::of(&response);
    let record = Record { listener: site.name, route, method, uri, status, peer, start, reason };
    Ok(response.map(|body| Tail::new(body, record, metrics, phase)))
}

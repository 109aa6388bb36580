//! Starting servers, talking to them byte by byte, and signing something to publish.

pub mod client;
pub mod publication;

use std::net::SocketAddr;
use std::time::Duration;

use server::care::ScrubSettings;
use server::net::Limits;
use server::online::OnlineSettings;
use server::server::{Server, StartError};
use server::settings::Settings;
use server::token::TokenFile;
use tempfile::TempDir;

use self::client::{Response, request};
use self::publication::Publication;

/// A running server in a directory of its own.
pub struct Running {
    pub dir: TempDir,
    pub server: Server,
    pub token: String,
}

pub fn settings(dir: &TempDir, limits: Limits) -> Settings {
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    Settings {
        data: dir.path().join("data"),
        listen: any,
        admin: any,
        public_url: None,
        public_admin_url: None,
        limits,
        online: OnlineSettings::default(),
        scrub: ScrubSettings::default(),
    }
}

pub async fn start_with(limits: Limits) -> Running {
    start_in(tempfile::tempdir().unwrap(), limits).await.unwrap()
}

pub async fn start_in(dir: TempDir, limits: Limits) -> Result<Running, StartError> {
    let server = Server::start(settings(&dir, limits)).await?;
    let token = TokenFile::of(&dir.path().join("data")).read().unwrap();
    Ok(Running { dir, server, token })
}

pub async fn start() -> Running {
    start_with(Limits::default()).await
}

impl Running {
    pub fn data(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }

    pub async fn get(&self, path: &str) -> Response {
        self.get_with(path, "").await
    }

    pub async fn get_with(&self, path: &str, headers: &str) -> Response {
        request(self.server.delivery, "GET", path, headers, b"").await
    }

    /// A call on the admin listener with the token.
    pub async fn call(&self, method: &str, path: &str, body: &[u8]) -> Response {
        let headers = format!("Authorization: Bearer {}\r\n{}", self.token, length_of(method, body));
        request(self.server.admin, method, path, &headers, body).await
    }

    pub async fn report(&self, node: &str, body: &[u8]) -> Response {
        let path = format!("/v1/nodes/{node}/report");
        request(self.server.admin, "POST", &path, &length_of("POST", body), body).await
    }

    /// Uploads and commits everything; both must succeed.
    pub async fn publish(&self, publication: &Publication) {
        let stored = self.call("PUT", "/v1/objects", &publication.pack()).await;
        assert_eq!(stored.status, 200, "{}", stored.text());
        let committed = self.call("POST", "/v1/commit", &publication.commit()).await;
        assert_eq!(committed.status, 200, "{}", committed.text());
    }
}

fn length_of(method: &str, body: &[u8]) -> String {
    if method == "GET" && body.is_empty() {
        String::new()
    } else {
        format!("Content-Length: {}\r\n", body.len())
    }
}

/// For what must happen: longer than anything takes.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let Ok(value) = tokio::time::timeout(Duration::from_secs(20), future).await else {
        panic!("{what}: not in time")
    };
    value
}

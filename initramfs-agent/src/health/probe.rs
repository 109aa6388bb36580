//! One try of one check.

use std::ffi::OsStr;
use std::net::{TcpStream, ToSocketAddrs as _};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use image_format::manifest::{Check, Probe};

use crate::http::{BaseUrl, Client, HttpError, Limits};
use crate::process::{self, Command};

/// Tries a check once; the error is the reason for people.
pub(super) fn probe(check: &Check, limit: Duration) -> Result<(), String> {
    match &check.probe {
        Probe::Unit(unit) => command(&["systemctl", "is-active", unit], limit)
            .map_err(|reason| format!("unit {unit}: {reason}")),
        Probe::Command(words) => {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            command(&words, limit)
                .map_err(|reason| format!("command {}: {reason}", words.first().unwrap_or(&"")))
        }
        Probe::Tcp(address) => tcp(address, limit),
        Probe::Http(url) => http(url, limit).map_err(|reason| format!("{url}: {reason}")),
    }
}

fn command(words: &[&str], limit: Duration) -> Result<(), String> {
    let words: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
    let (program, arguments) = words.split_first().ok_or("no command")?;
    let outcome = process::run(&Command { program, arguments, root: None }, limit)
        .map_err(|error| error.to_string())?;
    if outcome.code == Some(0) && outcome.timed_out.is_none() { Ok(()) } else { Err(outcome.to_string()) }
}

fn tcp(address: &str, limit: Duration) -> Result<(), String> {
    let start = Instant::now();
    let describe = |error: std::io::Error| format!("tcp {address}: {error}");
    let mut last = format!("tcp {address}: no address");
    for address in address.to_socket_addrs().map_err(describe)? {
        let left = limit.saturating_sub(start.elapsed());
        if left.is_zero() {
            break;
        }
        match TcpStream::connect_timeout(&address, left) {
            Ok(_) => return Ok(()),
            Err(error) => last = describe(error),
        }
    }
    Err(last)
}

fn http(url: &str, limit: Duration) -> Result<(), String> {
    let (base, path) = BaseUrl::split(url).map_err(|error| error.to_string())?;
    match Client::new(base).get_with(&path, &Limits::brief(limit), &mut |_| ControlFlow::Continue(())) {
        // The head said 2xx; how long the page is does not matter.
        Ok(_) | Err(HttpError::TooLarge { .. }) => Ok(()),
        Err(error) => Err(format!("{:#}", anyhow::Error::new(error))),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use super::*;

    fn check(probe: Probe) -> Check {
        Check { name: "test".to_owned(), timeout_s: 20, probe }
    }

    fn try_once(kind: Probe) -> Result<(), String> {
        probe(&check(kind), Duration::from_secs(20))
    }

    fn closed_port() -> u16 {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
    }

    /// A server that gives one answer.
    fn answering(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/health?full", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut seen = [0; 1024];
            let _request = stream.read(&mut seen).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        url
    }

    #[test]
    fn commands() {
        let command =
            |words: &[&str]| try_once(Probe::Command(words.iter().map(|word| (*word).to_owned()).collect()));
        assert_eq!(command(&["true"]), Ok(()));
        assert_eq!(
            command(&["sh", "-c", "echo no quorum; exit 2"]),
            Err("command sh: exit code 2: no quorum".to_owned())
        );
        let missing = command(&["/nonexistent"]).unwrap_err();
        assert_eq!(missing, "command /nonexistent: No such file or directory (os error 2)");
        let words = ["sleep".to_owned(), "1000".to_owned()].to_vec();
        let slow = probe(&check(Probe::Command(words)), Duration::from_millis(50)).unwrap_err();
        assert_eq!(slow, "command sleep: not finished after 0.05 s");
    }

    #[test]
    fn tcp_ports() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert_eq!(try_once(Probe::Tcp(listener.local_addr().unwrap().to_string())), Ok(()));
        let port = closed_port();
        let refused = try_once(Probe::Tcp(format!("127.0.0.1:{port}"))).unwrap_err();
        assert_eq!(refused, format!("tcp 127.0.0.1:{port}: Connection refused (os error 111)"));
        assert!(try_once(Probe::Tcp("nonsense".to_owned())).is_err());
    }

    #[test]
    fn pages() {
        assert_eq!(try_once(Probe::Http(answering("HTTP/1.1 204 x\r\n\r\n"))), Ok(()));
        assert_eq!(
            try_once(Probe::Http(answering("HTTP/1.1 200 x\r\nContent-Length: 99999999\r\n\r\n"))),
            Ok(())
        );
        let url = answering("HTTP/1.1 500 x\r\nContent-Length: 4\r\n\r\noops");
        assert_eq!(try_once(Probe::Http(url.clone())), Err(format!("{url}: server answered 500: oops")));
        assert!(try_once(Probe::Http(answering("no http"))).unwrap_err().contains("malformed answer"));
    }
}

//! Keys of nodes and join tokens: what is asked of the server, and what people read.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use fleet_protocol::join::{JoinToken, NewToken};
use image_format::Sha256;

use crate::place::{Place, says};

type Seen = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// A server that gives one answer to everything, and keeps what came.
fn server(status: u16, answer: &str) -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Seen::default();
    let (kept, answer) = (seen.clone(), answer.to_owned());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut first, mut length) = (String::new(), 0);
            reader.read_line(&mut first).unwrap();
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let Some((name, value)) = line.trim().split_once(": ") else { break };
                if name.eq_ignore_ascii_case("content-length") {
                    length = value.parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let mut words = first.split(' ');
            let call = format!("{} {}", words.next().unwrap(), words.next().unwrap());
            kept.lock().unwrap().push((call, body));
            let head = format!(
                "HTTP/1.1 {status} x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                answer.len()
            );
            stream.write_all(format!("{head}{answer}").as_bytes()).unwrap();
        }
    });
    (url, seen)
}

fn seen(seen: &Seen) -> Vec<(String, String)> {
    let text = |(call, body): &(String, Vec<u8>)| (call.clone(), String::from_utf8(body.clone()).unwrap());
    seen.lock().unwrap().iter().map(text).collect()
}

const KEY: &str = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";
const NODE: &str = "52-54-00-12-34-56";

/// A node with an approved key, one that waits, and things that were refused.
fn node() -> String {
    format!(
        r#"{{"node":"{NODE}","group":null,"pinned":null,"report":null,"last_seen":"2026-11-20T10:00:00Z","identity":{{}},
        "enrolment":{{"state":"pending","reason":"a new key; the approved one is 19bf44096984cdfe: it\u001b[31m","group":"rack","report":"approved",
          "approved":{{"key":"{KEY}","since":"2026-11-20T09:00:00Z","last_used":"2026-11-20T09:30:00Z","number":7,"note":"an admin","revoked":null}},
          "pending":[{{"key":"{KEY}","since":"2026-11-20T10:00:00Z","last_used":"2026-11-20T10:00:00Z","number":1,"note":"a new key","revoked":"2026-11-20T11:00:00Z"}}],
          "used_twice":"two machines take turns",
          "alerts":[{{"kind":"replayed","first":"2026-11-20T10:00:00Z","last":"2026-11-20T10:00:00Z","count":3,"message":"number 7 again"}}]}},
        "events":[{{"time":"2026-11-20T10:00:00Z","event":"rolled-back","message":"forged","unsigned":true}}]}}"#
    )
}

#[test]
fn decisions_are_sent_as_they_were_made() {
    let place = Place::empty();
    let (url, calls) = server(200, &node());
    place.ok(&["node", "approve", "52:54:00:12:34:56", "--to", &url]);
    place.ok(&["node", "approve", NODE, "--key", "19bf4409", "--to", &url]);
    place.ok(&["node", "revoke", NODE, "--reason", "stolen", "--to", &url]);
    let forgotten = place.json(&["node", "forget", NODE, "--to", &url]);
    assert_eq!(forgotten, serde_json::json!({ "node": NODE, "forgotten": true }));
    let path = |verb| format!("POST /v1/nodes/{NODE}/{verb}");
    let expected = [
        (path("approve"), r#"{"key":null}"#.to_owned()),
        (path("approve"), r#"{"key":"19bf4409"}"#.to_owned()),
        (path("revoke"), r#"{"key":null,"reason":"stolen"}"#.to_owned()),
        (path("forget"), "{}".to_owned()),
    ];
    assert_eq!(seen(&calls), expected);
}

#[test]
fn keys_and_refusals_are_shown_and_nothing_steers_the_terminal() {
    let place = Place::empty();
    let (url, _) = server(200, &node());
    let text = place.ok(&["node", "show", NODE, "--to", &url]);
    let words = [
        "used twice",
        "two machines take turns",
        "enrolled for group rack",
        "19bf44096984cdfe",
        "approved",
        "revoked",
        "replayed",
        "number 7 again",
        "unsigned: forged",
    ];
    says(&text, &words);
    let text = place.ok(&["node", "approve", NODE, "--to", &url]);
    says(&text, &[KEY, "the approved one is 19bf44096984cdfe"]);
    assert!(!text.contains('\u{1b}'), "{text}");
    let (url, _) = server(200, &format!("[{}]", node()));
    says(&place.ok(&["nodes", "--to", &url]), &["KEY", "used twice", NODE]);
    let all = place.json(&["nodes", "--to", &url]);
    assert_eq!(all[0]["enrolment"]["pending"][0]["number"], 1);
}

#[test]
fn a_refusal_of_the_server_is_told() {
    let place = Place::empty();
    let (url, _) = server(422, r#"{"error":"refused: node has more than one such key"}"#);
    let told = place.refused(&["node", "approve", NODE, "--to", &url]);
    says(&told, &["approve node 52-54-00-12-34-56", "more than one such key"]);
    says(&place.refused(&["node", "approve", NODE]), &["not a repository", "--to URL"]);
    assert!(place.misused(&["node", "approve", "../x", "--to", &url]).contains("node:"));
}

#[test]
fn a_token_is_made_here_and_the_server_gets_a_hash() {
    let place = Place::new();
    let view = r#"{"id":"010203040506","group":"rack","state":"usable","created":"2026-11-20T10:00:00Z",
        "expires":"2026-11-20T18:00:00Z","uses":4,"nodes":[],"used":0}"#;
    let (url, calls) = server(200, view);
    let text = place.ok(&["token", "new", "--ttl", "8h", "--uses", "4", "--group", "rack", "--to", &url]);
    let token: JoinToken = text.trim_end().parse().unwrap();
    let root = Sha256::of(&std::fs::read(place.repo().join("root.json")).unwrap());
    assert_eq!((token.root, token.group.as_ref().unwrap().as_str()), (root, "rack"));
    let sent = seen(&calls);
    assert_eq!(sent[0].0, "POST /v1/tokens/new");
    let new: NewToken = serde_json::from_str(&sent[0].1).unwrap();
    assert_eq!((new.id, new.root, new.ttl_s, new.uses), (token.id, root, 8 * 3600, 4));
    assert!(new.verifier.is(&token.verifier()));
    let secret = text.split('.').nth(2).unwrap();
    assert!(secret.len() == 32 && !sent[0].1.contains(secret), "the secret stays here");

    let json = place.json(&["token", "new", "--to", &url]);
    assert_ne!(json["token"], text.trim_end(), "each token is another one");
    assert_eq!((json["id"].as_str(), json["uses"].as_u64()), (Some("010203040506"), Some(4)));
    for bad in [["--ttl", "31d"], ["--ttl", "1"], ["--uses", "0"], ["--uses", "1001"], ["--group", "../x"]] {
        place.misused(&["token", "new", bad[0], bad[1], "--to", &url]);
    }
    assert_eq!(seen(&calls).len(), 2);
    let empty = Place::empty();
    says(
        &empty.refused(&["token", "new", "--to", &url]),
        &["fingerprint of the repository's root", "--root FILE"],
    );
    let root = place.repo().join("root.json");
    empty.ok(&["token", "new", "--to", &url, "--root", root.to_str().unwrap()]);
}

#[test]
fn tokens_are_listed_and_ended() {
    let place = Place::empty();
    let view = r#"{"id":"010203040506","group":null,"state":"used-up","created":"2026-11-20T10:00:00Z",
        "expires":"2026-11-20T18:00:00Z","uses":2,"nodes":["52-54-00-12-34-56"],"used":2}"#;
    let (url, _) = server(200, &format!("[{view}]"));
    let words = ["010203040506", "used up", "2/2", "2026-11-20T18:00:00Z", "52-54-00-12-34-56 …"];
    says(&place.ok(&["token", "list", "--to", &url]), &words);
    let (url, _) = server(200, "[]");
    says(&place.ok(&["token", "list", "--to", &url]), &["No join tokens"]);
    let (url, calls) = server(200, view);
    says(
        &place.ok(&["token", "revoke", "010203040506", "--to", &url]),
        &["token 010203040506 is revoked; 2 nodes"],
    );
    assert_eq!(seen(&calls)[0].0, "POST /v1/tokens/010203040506/revoke");
    for bad in ["01020304050", "0102030405060", "01020304050G", "../x"] {
        place.misused(&["token", "revoke", bad, "--to", &url]);
    }
}

#[test]
fn every_help_has_examples() {
    let place = Place::empty();
    for (noun, verbs) in
        [("node", ["approve", "revoke", "show", "forget"].as_slice()), ("token", &["new", "list", "revoke"])]
    {
        for verb in verbs {
            let usage = format!("Usage: imgtool {noun} {verb}");
            says(
                &place.ok(&[noun, verb, "--help"]),
                &["Examples:", &format!("imgtool {noun} {verb}"), &usage],
            );
        }
    }
}

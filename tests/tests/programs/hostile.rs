//! Ids and paths that try to leave their directory, over HTTP and on the command line.

use crate::common::{assert_says, pair, place, server};
use bascule_tests::http::Request;

/// 64 hex digits that name nothing.
const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[test]
fn hostile_request_targets_find_nothing() {
    let place = place("targets");
    let server = server(&place);
    std::fs::write(place.join("secret"), "secret").unwrap();
    let upper = format!("/objects/{}", ID.to_uppercase());
    let targets = [
        "/objects/../../secret",
        "/objects/%2e%2e/%2e%2e/secret",
        "/objects/..%2f..%2fsecret",
        "/objects/%00",
        "/objects/",
        "/objects/.",
        &upper,
        &format!("/objects/{}", &ID[1..]),
        &format!("/objects/{ID}0"),
        &format!("/objects/{ID}/"),
        &format!("/objects/{ID}%00"),
        "/metadata/../admin.token",
        "/metadata/..%2fadmin.token",
        "/metadata/%2e%2e%2fadmin.token",
        "/metadata/root.json%00",
        "/metadata/1.ROOT.json",
        "/targets/images/../../../admin.token",
        "/targets/images/..%2f..%2f..%2fadmin.token",
        &format!("/targets/images/{ID}.ha@1.json%2f.."),
        &format!("/targets/images/{ID}.HA@1.json"),
        &format!("/batch/{ID}/0-1"),
        &format!("/batch/{}/0", ID.to_uppercase()),
        "/admin.token",
        "//admin.token",
    ];
    let token = server.token().unwrap();
    for target in targets {
        let answer = Request::get(target).send(server.delivery).unwrap();
        assert!(matches!(answer.status, 400 | 404), "{target}: status {}", answer.status);
        let text = answer.text();
        assert!(!text.contains("secret") || target.contains("secret"), "{target}: {text}");
        assert!(!text.contains(&token), "{target}: the token leaked");
    }
    assert_eq!(Request::get("/healthz").send(server.delivery).unwrap().status, 200);
}

#[test]
fn delivery_answers_get_and_head_alone() {
    let server = server(&place("methods"));
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
        let answer = Request { method, ..Request::get("/healthz") }.send(server.delivery).unwrap();
        assert_eq!(answer.status, 405, "{method}");
        assert_says(answer.header("allow").unwrap_or_default(), &["GET", "HEAD"]);
    }
}

#[test]
fn hostile_node_ids_are_refused() {
    let server = server(&place("node-ids"));
    for id in ["..", "%2e%2e", "A", "52-54-00-12-34-5G%2f", "%00", ".hidden", "a%20b"] {
        let target = format!("/v1/nodes/{id}/report");
        let answer =
            Request { method: "POST", target: &target, token: None, body: b"{}" }.send(server.admin).unwrap();
        assert!((400..500).contains(&answer.status), "{id}: status {}", answer.status);
        let target = format!("/boot.ipxe?mac={id}");
        let script = Request::get(&target).send(server.delivery).unwrap();
        let refused = script.status >= 400 || !script.text().contains("kernel ");
        assert!(refused, "{id}: {}", script.text());
    }
    assert!(server.nodes().unwrap().is_empty(), "a hostile id made a node");
}

#[test]
fn hostile_names_on_the_command_line_are_refused() {
    let (repo, _server) = pair(&place("names"));
    for name in
        ["../base@1", "base@..", "base@../1", "BASE@1", "base@1/..", "base", "@1", "base@%2e", "base@1@2"]
    {
        for verb in [&["sign", name][..], &["publish", name], &["pin", "web", name], &["verify", name]] {
            let message = repo.refused(verb).unwrap();
            assert_says(&message, &["expected"]);
        }
        // What has a slash is a manifest file for `inspect`, and there is none.
        let expected = if name.contains('/') { "No such file" } else { "expected" };
        assert_says(&repo.refused(&["inspect", name]).unwrap(), &[expected]);
    }
    for group in ["..", "../web", "WEB", "@assignments", "a/b", ""] {
        assert_says(&repo.refused(&["pin", group, "base@1"]).unwrap(), &["expected"]);
    }
}

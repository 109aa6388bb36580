//! What a node's firmware gets: a script that loads the pinned image, or a reason and the local disk.

use bascule_tests::fixture::IMAGE;
use bascule_tests::fleet::Server;
use bascule_tests::http::Request;

use crate::common::{assert_says, pair, place};

const NODE: &str = "52-54-00-00-00-01";

fn script(server: &Server) -> String {
    let target = format!("/boot.ipxe?mac={NODE}");
    let answer = Request::get(&target).send(server.delivery).unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.text().starts_with("#!ipxe\n"), "{}", answer.text());
    answer.text()
}

#[test]
fn a_node_gets_what_its_group_is_pinned_to_or_a_reason() {
    let (repo, server) = pair(&place("boot-script"));
    assert_says(
        &Request::get("/boot.ipxe").send(server.delivery).unwrap().text(),
        &["#!ipxe", "boot.ipxe?mac=${netX/mac:hexhyp}"],
    );
    let leave = |why: &str| assert_says(&script(&server), &["echo", why, "\nexit\n"]);
    leave("nothing is published");
    repo.publish(IMAGE).unwrap();
    leave("is in no group");
    repo.run(&["assign", NODE, "web"]).unwrap();
    leave("is not pinned");
    repo.pin("web", IMAGE).unwrap();
    let text = script(&server);
    assert_says(
        &text,
        &["kernel ", "initrd ", "bascule.boot=net", &format!("bascule.mac={NODE}"), "\nexit\n"],
    );

    // What the script names can be had, with exact lengths.
    let objects: Vec<&str> = text.split("/objects/").skip(1).map(|rest| &rest[..64]).collect();
    assert_eq!(objects.len(), 2, "{text}");
    for id in objects {
        let target = format!("/objects/{id}");
        let whole = Request::get(&target).send(server.delivery).unwrap();
        let head = Request { method: "HEAD", ..Request::get(&target) }.send(server.delivery).unwrap();
        assert_eq!((whole.status, head.status, head.body.len()), (200, 200, 0));
        assert_eq!(head.header("content-length"), Some(whole.body.len().to_string().as_str()));
        assert_eq!(head.header("etag"), Some(format!("\"{id}\"").as_str()));
        assert_says(head.header("cache-control").unwrap(), &["immutable"]);
    }
    repo.run(&["unpin", "web"]).unwrap();
    leave("is not pinned");
}

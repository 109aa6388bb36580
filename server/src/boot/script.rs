//! The text of iPXE scripts.
//!
//! Written for the oldest iPXE that we meet (QEMU's ROM, January 2019): `set`, `inc`, `iseq`, `goto`, `echo`, `sleep`, `kernel`,
//! `initrd`, `boot`, `chain`, `exit` only. A script ends in `exit`, never in a loop without end: the firmware goes on to the
//! local disk, so a dead server does not stop a node that has a good slot.
//!
//! iPXE expands `${…}` everywhere and takes `||` and `&&` between words as operators. What is not ours and stands in a script
//! cannot contain them: node ids, groups, join tokens and image names by their types, hosts by [`super::host`], the role's command line by the
//! rules of the manifest (200 bytes of plain characters), reasons by [`plain`].

use fleet_protocol::join::JoinToken;
use image_format::NodeId;
use image_format::manifest::Manifest;

use super::choose::Choice;
use super::host::Urls;

/// Tries per download.
const TRIES: u32 = 5;
/// Seconds before the second try; doubled for each further one: 2 + 4 + 8 + 16 seconds in all, and up to as much as jitter.
const FIRST_WAIT: u32 = 2;
/// Seconds that a reason stays on the screen.
const READING_TIME: u32 = 5;

/// The script for a node that has not said who it is: it asks again with what iPXE knows, and with its join token.
pub fn bootstrap(urls: &Urls, join: Option<&JoinToken>) -> String {
    let join = join.map(|token| format!("&join={}", token.to_text())).unwrap_or_default();
    let url = format!(
        "{}/boot.ipxe?mac=${{netX/mac:hexhyp}}&uuid=${{uuid}}&serial=${{serial:uristring}}&asset=${{asset:uristring}}\
         &manufacturer=${{manufacturer:uristring}}&product=${{product:uristring}}&arch=${{buildarch}}\
         &platform=${{platform}}&hostname=${{hostname:uristring}}&ip=${{ip}}{join}",
        urls.delivery
    );
    let mut script = String::from("#!ipxe\necho Bascule: asking for the script of ${netX/mac:hexhyp}\n");
    script += &retried("script", &format!("chain --replace {url}"), FIRST_WAIT);
    script += FAILED;
    script
}

/// The script for `node`, and the word for it in the metrics. With a join token that can be used, the agent gets it.
pub fn for_node(
    choice: &Choice<'_>,
    node: &NodeId,
    urls: &Urls,
    join: Option<&JoinToken>,
) -> (String, &'static str) {
    match choice {
        Choice::Leave { reason } => (leave(node, reason), "left"),
        Choice::Load { manifest, group, instead } => {
            let mut script = String::from("#!ipxe\n");
            if let Some(why) = instead {
                script += &format!("# Not the pinned image: {}\n", plain(why));
            }
            let note = if instead.is_some() { " (not the pinned image)" } else { "" };
            script += &format!("echo Bascule: node {node}, group {group}: {}{note}\n", manifest.name);
            script += &load(manifest, node, urls, join);
            (script, if instead.is_some() { "fallback" } else { "load" })
        }
    }
}

/// Text for people, made to fit a script line.
fn plain(text: &str) -> String {
    let printable = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
    let text: String = text.chars().take(300).map(printable).collect();
    text.replace('$', "?").replace('|', "/").replace("&&", "and")
}

fn leave(node: &NodeId, reason: &str) -> String {
    format!(
        "#!ipxe\necho Bascule: node {node}: {}\necho Bascule: going on with the local disk\nsleep {READING_TIME}\nexit\n",
        plain(reason)
    )
}

const FAILED: &str = "\
:failed
echo Bascule: the server does not deliver; going on with the local disk
sleep 5
exit
";

/// The role's command line, then the words that the agent reads.
fn cmdline(manifest: &Manifest, node: &NodeId, urls: &Urls, join: Option<&JoinToken>) -> String {
    let join = join.map(|token| format!(" bascule.join={}", token.to_text())).unwrap_or_default();
    let words = format!(
        "bascule.server={} bascule.admin={} bascule.mac={node} bascule.kernel={} bascule.boot=net{join} initrd=initramfs",
        urls.delivery, urls.admin, manifest.kernel.object.id
    );
    format!("{} {words}", manifest.kernel.cmdline.trim()).trim_start().to_owned()
}

fn load(manifest: &Manifest, node: &NodeId, urls: &Urls, join: Option<&JoinToken>) -> String {
    // Nodes that power on together must not retry together.
    let jitter = FIRST_WAIT + blake3::hash(node.as_str().as_bytes()).as_bytes()[0] as u32 % (FIRST_WAIT + 1);
    let object = |id| format!("{}/objects/{id}", urls.delivery);
    let kernel_url = object(manifest.kernel.object.id);
    let kernel = format!("kernel --name kernel {kernel_url} {}", cmdline(manifest, node, urls, join));
    let initrd = format!("initrd --name initramfs {}", object(manifest.initramfs.id));
    let mut script = retried("kernel", &kernel, jitter);
    script += &retried("initramfs", &initrd, jitter);
    script += "boot ||\necho Bascule: the kernel did not start\n";
    script += FAILED;
    script
}

/// `command` up to [`TRIES`] times with doubling waits, then `goto failed`; continues behind itself on success.
fn retried(what: &str, command: &str, first_wait: u32) -> String {
    format!(
        "set try:int32 1\nset wait:int32 {first_wait}\n:{what}\n{command} && goto {what}_here ||\n\
         iseq ${{try}} {TRIES} && goto failed ||\n\
         echo Bascule: no {what} at try ${{try}} of {TRIES}, waiting ${{wait}} s\nsleep ${{wait}}\n\
         inc try\ninc wait ${{wait}}\ngoto {what}\n:{what}_here\n"
    )
}

#[cfg(test)]
mod tests {
    use image_format::test_images::manifest;

    use super::*;

    const URLS: fn() -> Urls =
        || Urls { delivery: "http://10.0.2.2:7080".into(), admin: "http://10.0.2.2:7081".into() };

    fn node() -> NodeId {
        "52-54-00-12-34-56".parse().unwrap()
    }

    #[test]
    fn the_script_of_a_node_loads_its_image() {
        let (manifest, group) = (manifest("ha@1", 1), "rack".parse().unwrap());
        let choice = Choice::Load { manifest: &manifest, group: &group, instead: None };
        let (script, outcome) = for_node(&choice, &node(), &URLS(), None);
        assert_eq!(outcome, "load");
        assert!(
            script.starts_with("#!ipxe\necho Bascule: node 52-54-00-12-34-56, group rack: ha@1\n"),
            "{script}"
        );
        let object = manifest.kernel.object.id;
        let kernel = format!(
            "kernel --name kernel http://10.0.2.2:7080/objects/{object} panic=10 bascule.server=http://10.0.2.2:7080 \
             bascule.admin=http://10.0.2.2:7081 bascule.mac=52-54-00-12-34-56 bascule.kernel={object} bascule.boot=net \
             initrd=initramfs && goto kernel_here ||"
        );
        assert!(script.lines().any(|line| line == kernel), "{script}");
        let initrd = format!(
            "initrd --name initramfs http://10.0.2.2:7080/objects/{} && goto initramfs_here ||",
            manifest.initramfs.id
        );
        assert!(script.lines().any(|line| line == initrd), "{script}");
        assert!(script.ends_with("sleep 5\nexit\n"));
        assert!(script.len() < 4096);
    }

    #[test]
    fn another_than_the_pinned_image_says_why() {
        let (manifest, group) = (manifest("ha@2", 2), "rack".parse().unwrap());
        let why = "ha@3 failed: ${evil} || exit\nkernel http://evil && boot".to_owned();
        let choice = Choice::Load { manifest: &manifest, group: &group, instead: Some(why) };
        let (script, outcome) = for_node(&choice, &node(), &URLS(), None);
        assert_eq!(outcome, "fallback");
        let comment = "# Not the pinned image: ha@3 failed: ?{evil} // exit?kernel http://evil and boot";
        assert_eq!(script.lines().nth(1), Some(comment));
    }

    #[test]
    fn a_node_that_is_left_alone_reads_why() {
        let choice = Choice::Leave { reason: "group x is not pinned".into() };
        let expected = "#!ipxe\necho Bascule: node 52-54-00-12-34-56: group x is not pinned\n\
                        echo Bascule: going on with the local disk\nsleep 5\nexit\n";
        assert_eq!(for_node(&choice, &node(), &URLS(), None), (expected.to_owned(), "left"));
    }

    #[test]
    fn the_first_script_asks_again_with_the_identity() {
        let script = bootstrap(&URLS(), None);
        assert!(script.contains(
            "\nchain --replace http://10.0.2.2:7080/boot.ipxe?mac=${netX/mac:hexhyp}&uuid=${uuid}&"
        ));
        assert!(script.ends_with("exit\n"));
    }
}

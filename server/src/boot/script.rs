//! The text of iPXE scripts.
//!
//! Written for the oldest iPXE that we meet (QEMU's ROM, January 2019): `set`, `inc`, `iseq`, `goto`, `echo`, `sleep`, `kernel`,
//! `initrd`, `boot`, `chain`, `exit` only. A script ends in `exit`, never in a loop without end: the firmware goes on to the
//! local disk, so a dead server does not stop a node that has a good slot.
//!
//! iPXE expands `${…}` everywhere and takes `||` and `&&` between words as operators: [`is_plain`] keeps both out of text that
//! is not ours.

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
/// Longest kernel line, in bytes: x86 kernels take 2047 bytes of command line.
const CMDLINE_MAX: usize = 2000;

/// The script for a node that has not said who it is: it asks again with what iPXE knows.
pub fn bootstrap(urls: &Urls) -> String {
    let url = format!(
        "{}/boot.ipxe?mac=${{netX/mac:hexhyp}}&uuid=${{uuid}}&serial=${{serial:uristring}}&asset=${{asset:uristring}}\
         &manufacturer=${{manufacturer:uristring}}&product=${{product:uristring}}&arch=${{buildarch}}\
         &platform=${{platform}}&hostname=${{hostname:uristring}}&ip=${{ip}}",
        urls.delivery
    );
    let mut script = String::from("#!ipxe\necho Bascule: asking for the script of ${netX/mac:hexhyp}\n");
    script += &retried("script", &format!("chain --replace {url}"), FIRST_WAIT);
    script += FAILED;
    script
}

/// The script for `node`, and the word for it in the metrics.
pub fn for_node(choice: &Choice<'_>, node: &NodeId, urls: &Urls) -> (String, &'static str) {
    match choice {
        Choice::Leave { reason } => (leave(node, reason), "left"),
        Choice::Load { manifest, group, instead } => {
            let cmdline = cmdline(manifest, node, urls);
            if !is_plain(&cmdline) || cmdline.len() > CMDLINE_MAX {
                let reason =
                    format!("the kernel command line of {} cannot stand in an iPXE script", manifest.name);
                return (leave(node, &reason), "left");
            }
            let mut script = String::from("#!ipxe\n");
            if let Some(why) = instead {
                script += &format!("# Not the pinned image: {}\n", plain(why));
            }
            let note = if instead.is_some() { " (not the pinned image)" } else { "" };
            script += &format!("echo Bascule: node {node}, group {group}: {}{note}\n", manifest.name);
            script += &load(manifest, node, &cmdline, urls);
            (script, if instead.is_some() { "fallback" } else { "load" })
        }
    }
}

/// Whether text can stand on a script line: printable ASCII, nothing that iPXE expands or takes as an operator.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        && !text.contains("${")
        && !text.split(' ').any(|word| matches!(word, "||" | "&&"))
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

/// Role's command line, then our words; see the contract between server and agent in `ARCHITECTURE.md`.
fn cmdline(manifest: &Manifest, node: &NodeId, urls: &Urls) -> String {
    let words = format!(
        "bascule.server={} bascule.admin={} bascule.mac={node} bascule.kernel={} bascule.boot=net initrd=initramfs",
        urls.delivery, urls.admin, manifest.kernel.object.id
    );
    format!("{} {words}", manifest.kernel.cmdline.trim()).trim_start().to_owned()
}

fn load(manifest: &Manifest, node: &NodeId, cmdline: &str, urls: &Urls) -> String {
    // Nodes that power on together must not retry together.
    let jitter = FIRST_WAIT + blake3::hash(node.as_str().as_bytes()).as_bytes()[0] as u32 % (FIRST_WAIT + 1);
    let object = |id| format!("{}/objects/{id}", urls.delivery);
    let kernel = format!("kernel --name kernel {} {cmdline}", object(manifest.kernel.object.id));
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

//! Nodes that meet bad disks, and a server that goes away while one installs.
//!
//! Each asserts the agent's specific line on the console, and that the disk was left as it was.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::Account;
use crate::demo::recipes::INSTALL_LINE;
use crate::demo::world::{BOOT_LIMIT, DISK_MIB, GROUP, World};
use crate::fixture::{self, ServedStore};
use crate::process::Lifetime;
use crate::view::View;
use crate::vm::freeze;
use crate::workspace;

/// A node gives up on its disk within this time: firmware, iPXE, kernel, agent.
const REFUSE_LIMIT: Duration = Duration::from_secs(180);

/// Bytes of an image that are under way when the server is killed.
const PART: f64 = 4e6;

type Case = (&'static str, fn(&mut World<'_>) -> Result<String>);

const CASES: [Case; 6] = [
    ("no disk", no_disk),
    ("two blank disks", two_disks),
    ("a disk with foreign partitions", foreign),
    ("a disk that is too small", too_small),
    ("a chunk in the server's store is damaged", damaged_chunk),
    ("the server goes away while a node installs", server_gone),
];

pub(super) fn run(view: &View) -> Result<Account> {
    let dir = workspace::target_dir().join("bascule-nodes");
    let mut world = World::from_fixture(view, &dir, Lifetime::Bound)?;
    world.repo.publish(fixture::IMAGE)?;
    world.repo.run(&["assign", "--default", GROUP])?;
    world.repo.pin(GROUP, fixture::IMAGE)?;
    let mut account = Account { passed: 0, failed: 0, text: String::new() };
    for (name, case) in CASES {
        view.begin(name);
        match case(&mut world) {
            Ok(text) => {
                account.passed += 1;
                view.done(&text);
            }
            Err(error) => {
                account.failed += 1;
                view.failed(&format!("{error:#}"));
                world.show_console();
            }
        }
    }
    account.text = format!("{} of {} cases{}", account.passed, CASES.len(), freeze::text());
    Ok(account)
}

/// Starts a node and waits for a line that has all of `words`.
fn refuses(world: &mut World<'_>, name: &str, disks: &[PathBuf], words: &[&str]) -> Result<String> {
    let before: Vec<_> = disks.iter().map(|disk| begin_of(disk)).collect::<Result<_>>()?;
    let console = world.start_node(name, disks.to_owned())?.console.clone();
    let (mut mark, end) = (console.start(), Instant::now() + REFUSE_LIMIT);
    let line = loop {
        let left = end.saturating_duration_since(Instant::now());
        let (line, next) =
            console.wait(mark, &["bascule ["], left).with_context(|| format!("a line with {words:?}"))?;
        if words.iter().all(|word| line.text.contains(word)) {
            break line.text;
        }
        mark = next;
    };
    for (disk, before) in disks.iter().zip(before) {
        ensure!(begin_of(disk)? == before, "{}: the agent wrote to a disk that it refused", disk.display());
    }
    Ok(line)
}

/// The first MiB of a disk: partition table and the beginning of the first partition.
fn begin_of(disk: &Path) -> Result<Vec<u8>> {
    let mut bytes = vec![0; 1 << 20];
    File::open(disk)?.read_exact_at(&mut bytes, 0).with_context(|| format!("read {}", disk.display()))?;
    Ok(bytes)
}

fn no_disk(world: &mut World<'_>) -> Result<String> {
    refuses(world, "no-disk", &[], &["failed:", "no disk: expected one"])
}

fn two_disks(world: &mut World<'_>) -> Result<String> {
    let disks = vec![world.disk("two-first", DISK_MIB)?, world.disk("two-second", DISK_MIB)?];
    refuses(world, "two-disks", &disks, &["failed:", "several blank disks", "vda", "vdb"])
}

fn foreign(world: &mut World<'_>) -> Result<String> {
    let disk = world.disk("foreign", DISK_MIB)?;
    // A DOS partition table with one Linux partition: 1 MiB to 101 MiB.
    let mut table = [0u8; 512];
    table[446..462].copy_from_slice(&[0, 0, 2, 0, 0x83, 0, 0, 0, 0, 8, 0, 0, 0, 0x20, 3, 0]);
    table[510..].copy_from_slice(&[0x55, 0xaa]);
    File::options().write(true).open(&disk)?.write_all_at(&table, 0)?;
    refuses(world, "foreign", &[disk], &["failed:", "no blank disk", "vda"])
}

fn too_small(world: &mut World<'_>) -> Result<String> {
    let disk = world.disk("small", 256)?;
    refuses(world, "small", &[disk], &["failed:", "disk too small", "vda"])
}

/// The node refuses the chunk and names it, boots nothing of it, and installs when the store is repaired.
fn damaged_chunk(world: &mut World<'_>) -> Result<String> {
    let store = ServedStore::of(&world.server)?;
    let id = store.last_chunk(&fixture::index_of(world.repo.dir())?)?;
    let whole = store.flip(&id)?;
    let disk = world.disk("damaged", DISK_MIB)?;
    let console = world.start_node("damaged", vec![disk])?.console.clone();
    let refused = console.wait(console.start(), &["install: "], BOOT_LIMIT);
    let text = format!("stored bytes: expected {id}");
    let outcome = refused.and_then(|(_, at)| {
        let (line, at) =
            console.wait(at, &[&text], BOOT_LIMIT).context("the node names the damaged chunk")?;
        console.wait(at, &["failed: nothing to boot"], BOOT_LIMIT).context("the node boots nothing")?;
        Ok(line.text)
    });
    store.put(&id, &whole)?;
    let line = outcome?;
    world.wait_runs(fixture::IMAGE, "a").context("after the store was repaired")?;
    Ok(line)
}

fn server_gone(world: &mut World<'_>) -> Result<String> {
    let disk = world.disk("gone", DISK_MIB)?;
    let console = world.start_node("gone", vec![disk])?.console.clone();
    console.wait(console.start(), &[INSTALL_LINE], BOOT_LIMIT).context("the installation begins")?;
    wait_for_bytes(world)?;
    world.server.kill();
    let mark = console.mark();
    let (line, _) =
        console.wait(mark, &["trying again"], BOOT_LIMIT).context("the agent says that it tries again")?;
    world.server.restart()?;
    world.wait_runs(fixture::IMAGE, "a")?;
    Ok(format!("completed after the server came back; {}", line.text))
}

/// Waits until the server has sent a part of the image.
fn wait_for_bytes(world: &World<'_>) -> Result<()> {
    let sent = || -> Result<f64> {
        world
            .server
            .metric("bascule_http_sent_bytes_total{listener=\"delivery\"}")?
            .context("the server counts what it sends")
    };
    let (begin, before) = (Instant::now(), sent()?);
    while sent()? < before + PART {
        ensure!(begin.elapsed() < BOOT_LIMIT, "the node fetches nothing");
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

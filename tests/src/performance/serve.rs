//! Serving chunks to many at once, against nginx with the same objects as files.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::Bench;
use super::pair::NEW;
use super::report::{Report, Row};
use crate::fixture::ServedStore;
use crate::http::Request;
use crate::process::{self, Lifetime, Process};
use crate::{edit, workspace};

/// Connections of the load generator.
const CONNECTIONS: &str = "64";
/// Seconds of each turn.
const SECONDS: &str = "5";
/// Stored bytes of a batch, about: what a node asks for at a time.
const BATCH: u64 = 8 << 20;
/// Chunks of a batch at most: as a node asks.
const BATCH_ENTRIES: usize = 512;
const START: Duration = Duration::from_secs(20);

/// A running server under load.
struct Contestant {
    name: &'static str,
    address: SocketAddr,
    process: Process,
    /// Paths asked for in turn, one a line.
    paths: PathBuf,
}

/// Measures.
pub(super) fn measure(bench: &Bench<'_>, report: &mut Report) -> Result<()> {
    let data = bench.work.join("data");
    let mut publish = Command::new(workspace::program("imgtool"));
    publish.arg("--repo").arg(&bench.pair.repo).args(["publish", "--no-patches", "--to"]).arg(&data);
    process::run(&publish, bench.view)?.success("imgtool publish")?;
    let files = bench.work.join("files");
    edit::copy_dir(&data, &files)?;
    ServedStore::at(&files)?;
    let (index, objects) = objects(&bench.pair.repo, &files)?;

    let single = bench.work.join("single.paths");
    let lines: Vec<String> =
        objects.iter().map(|object| format!("/objects/{}", place(&object.id, false))).collect();
    edit::write(&single, &lines.join("\n"))?;
    let nested = bench.work.join("nested.paths");
    let lines: Vec<String> =
        objects.iter().map(|object| format!("/objects/{}", place(&object.id, true))).collect();
    edit::write(&nested, &lines.join("\n"))?;
    let batches = bench.work.join("batch.paths");
    edit::write(&batches, &batch_paths(&index, &objects).join("\n"))?;

    let mut nginx = nginx(bench, &files, nested)?;
    let mut ours = imgserver(bench, &data, single)?;
    let mut rows = Vec::new();
    let (mut theirs_best, mut ours_best, mut batch_best) =
        (Load::default(), Load::default(), Load::default());
    for _ in 0..bench.runs {
        theirs_best = theirs_best.max(load(bench, &nginx)?);
        ours_best = ours_best.max(load(bench, &ours)?);
        ours.paths.clone_from(&batches);
        batch_best = batch_best.max(load(bench, &ours)?);
        ours.paths = bench.work.join("single.paths");
    }
    let memory = |process: &Process| process.id().map_or(0, peak_kib);
    for (name, load, process) in [
        ("nginx, one chunk a request", theirs_best, &nginx.process),
        ("bascule, one chunk a request", ours_best, &ours.process),
        ("bascule, batches of 8 MiB", batch_best, &ours.process),
    ] {
        rows.push(Row {
            name: name.to_owned(),
            value: load.bytes / 1e6,
            cells: vec![
                format!("{:.0}", load.requests),
                format!("{:.0}", load.bytes / 1e6),
                format!("{:.0}", memory(process) as f64 / 1024.0),
            ],
        });
    }
    report.table(
        "Serving chunks on the loopback, 64 connections, best of all turns",
        &["who", "requests/s", "MB/s", "peak memory, MiB (nginx: master process)"],
        &rows,
    );
    report.at_least("chunks, requests/s : nginx", ours_best.requests, theirs_best.requests, 1.0);
    report.at_least("batches, MB/s : nginx", batch_best.bytes, theirs_best.bytes, 1.5);
    // Its workers end with it only when it is asked.
    nginx.process.stop(START)?;
    ours.process.kill();
    Ok(())
}

fn place(id: &str, nested: bool) -> String {
    if nested { format!("{}/{id}", &id[..2]) } else { id.to_owned() }
}

/// A distinct chunk of the image.
struct Object {
    id: String,
    stored_len: u64,
    /// Its first entry in the index.
    entry: usize,
}

/// The index of the new image, and the distinct chunks in it.
fn objects(repo: &Path, files: &Path) -> Result<(String, Vec<Object>)> {
    let manifest = repo.join("builds").join(NEW).join("manifest.json");
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(&manifest)?)?;
    let index = manifest["root"]["index"]["id"].as_str().context("no index in the manifest")?.to_owned();
    let bytes = fs::read(files.join("objects").join(place(&index, true)))?;
    let mut seen = std::collections::HashSet::new();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut objects = Vec::new();
    for (number, entry) in bytes.get(24..).context("a short index")?.chunks_exact(72).enumerate() {
        let stored_len = u32::from_le_bytes(entry[68..72].try_into()?).into();
        let id = hex(&entry[32..64]);
        if stored_len > 0 && seen.insert(id.clone()) {
            objects.push(Object { id, stored_len, entry: number });
        }
    }
    ensure!(!objects.is_empty(), "the index has no chunks");
    Ok((index, objects))
}

/// Paths of batches that cover the image.
fn batch_paths(index: &str, objects: &[Object]) -> Vec<String> {
    let mut paths = Vec::new();
    let (mut batch, mut sum) = (Vec::new(), 0);
    for object in objects {
        if sum + object.stored_len > BATCH || batch.len() == BATCH_ENTRIES {
            paths.push(format!("/batch/{index}/{}", batch.join(",")));
            (batch, sum) = (Vec::new(), 0);
        }
        batch.push(object.entry.to_string());
        sum += object.stored_len;
    }
    paths
}

/// Requests and bytes a second.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    requests: f64,
    bytes: f64,
}

impl Load {
    fn max(self, other: Self) -> Self {
        if self.bytes > other.bytes { self } else { other }
    }
}

/// One turn of wrk.
fn load(bench: &Bench<'_>, server: &Contestant) -> Result<Load> {
    let script = workspace::root().join("tests/performance/paths.lua");
    let mut wrk = Command::new("wrk");
    wrk.args(["--threads", "1", "--connections", CONNECTIONS, "--duration", SECONDS, "--script"]);
    wrk.arg(script).arg(format!("http://{}", server.address)).arg("--").arg(&server.paths);
    let output = process::run(&wrk, bench.view)?.success("wrk")?;
    let line = output.stdout.lines().find_map(|line| line.strip_prefix("result "));
    let line = line.with_context(|| format!("wrk printed no result: {}", output.stdout))?;
    let numbers: Vec<f64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let [requests, bytes, errors] = numbers[..] else { bail!("wrk printed {line:?}") };
    ensure!(errors == 0.0, "{}: {errors} of {requests} requests a second went wrong", server.name);
    Ok(Load { requests, bytes })
}

fn nginx(bench: &Bench<'_>, files: &Path, paths: PathBuf) -> Result<Contestant> {
    let address = free_port()?;
    let dir = bench.work.join("nginx");
    fs::create_dir_all(&dir)?;
    let template = fs::read_to_string(workspace::root().join("tests/performance/nginx.conf"))?;
    let text = template
        .replace("@DIR@", &dir.display().to_string())
        .replace("@ADDRESS@", &address.to_string())
        .replace("@FILES@", &files.display().to_string());
    let config = dir.join("nginx.conf");
    edit::write(&config, &text)?;
    let args = ["-c".into(), config.into_os_string(), "-p".into(), dir.clone().into_os_string()];
    let process =
        Process::start("nginx", Path::new("/usr/sbin/nginx"), &args, Lifetime::Bound, &dir.join("log"))?;
    await_answer(Contestant { name: "nginx", address, process, paths })
}

fn imgserver(bench: &Bench<'_>, data: &Path, paths: PathBuf) -> Result<Contestant> {
    let address = free_port()?;
    let log = bench.work.join("imgserver.log");
    let program = workspace::program("imgserver").into_os_string();
    let mut args = vec!["RUST_LOG=warn".into(), program, "serve".into(), "--data".into(), data.into()];
    args.extend(["--listen".into(), address.to_string().into(), "--admin".into(), "127.0.0.1:0".into()]);
    let process = Process::start("imgserver", Path::new("/usr/bin/env"), &args, Lifetime::Bound, &log)?;
    await_answer(Contestant { name: "imgserver", address, process, paths })
}

fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0").context("find a free port")?.local_addr()?)
}

fn await_answer(mut server: Contestant) -> Result<Contestant> {
    let paths = fs::read_to_string(&server.paths)?;
    let path = paths.lines().next().context("no paths")?.to_owned();
    let begin = Instant::now();
    loop {
        match Request::get(&path).send(server.address) {
            Ok(answer) if answer.status == 200 => return Ok(server),
            _ if begin.elapsed() < START && server.process.ended()?.is_none() => {
                thread::sleep(Duration::from_millis(50));
            }
            Ok(answer) => bail!("{}: {path}: status {}", server.name, answer.status),
            Err(error) => return Err(error.context(format!("{} does not answer", server.name))),
        }
    }
}

/// Largest resident set of a process so far, in KiB.
fn peak_kib(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

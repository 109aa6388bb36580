//! A server whose disk is full refuses what does not fit, says so, keeps running, and loses nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::common::{assert_says, place, repo};
use bascule_tests::fixture::IMAGE;
use bascule_tests::fleet::Server;
use bascule_tests::http::Request;
use bascule_tests::process::Lifetime;

/// A small file system in memory; unmounted when dropped.
struct Small(PathBuf);

impl Small {
    fn mount(dir: &Path, options: &str) -> Self {
        fs::create_dir_all(dir).unwrap();
        let status =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(dir).status().unwrap();
        assert!(status.success(), "mount a small file system (needs root): {status}");
        Self(dir.to_owned())
    }

    /// The same files at another place, where nothing can be written: what is open for writing elsewhere does not matter.
    fn read_only(&self, dir: &Path) -> Self {
        fs::create_dir_all(dir).unwrap();
        let mount = |args: &[&str]| Command::new("mount").args(args).arg(dir).status().unwrap().success();
        assert!(mount(&["--bind", self.0.to_str().unwrap()]), "show it elsewhere");
        let view = Self(dir.to_owned());
        assert!(mount(&["-o", "remount,bind,ro"]), "make it read-only there");
        view
    }

    fn remount(&self, options: &str) {
        let status = Command::new("mount").args(["-o", options]).arg(&self.0).status().unwrap();
        assert!(status.success(), "remount: {status}");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_refused_and_nothing_is_lost() {
    let place = place("full-disk");
    let small = Small::mount(&place.join("small"), "size=16m");
    let server = Server::start(&place.join("small/server"), Lifetime::Bound).unwrap();
    let repo = repo(&place);
    repo.set_remote(&server).unwrap();
    let message = repo.refused(&["publish", IMAGE]).unwrap();
    assert_says(&message, &["507"]);
    assert_eq!(Request::get("/healthz").send(server.delivery).unwrap().status, 200);
    assert!(!server.data().join("tuf/metadata/timestamp.json").exists());

    small.remount("remount,size=2g");
    repo.publish(IMAGE).unwrap();
    repo.run(&["verify", IMAGE, "--store", server.data().to_str().unwrap()]).unwrap();
}

#[test]
fn an_export_that_does_not_fit_leaves_nothing() {
    let place = place("full-disk-export");
    let small = Small::mount(&place.join("small"), "size=8m");
    let repo = repo(&place);
    for format in ["raw", "zstd", "tar", "casync"] {
        let out = small.0.join(format);
        let args = ["export", IMAGE, "--format", format, "--out", out.to_str().unwrap()];
        assert_says(&repo.refused(&args).unwrap(), &["export base@1", "No space left on device"]);
        assert_eq!(fs::read_dir(&small.0).unwrap().count(), 0, "{format} left something");
    }
}

/// An object that nobody needs, and that has been there for years.
fn litter(data: &Path, name: &str, size: usize) -> PathBuf {
    let path = data.join("objects").join(&name[..2]).join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, vec![7; size]).unwrap();
    let then = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000);
    fs::File::options().append(true).open(&path).unwrap().set_modified(then).unwrap();
    path
}

#[test]
fn gc_makes_room_on_a_full_disk_and_leaves_a_read_only_one_alone() {
    let place = place("full-disk-gc");
    let small = Small::mount(&place.join("small"), "size=2g");
    let server = Server::start(&place.join("small/server"), Lifetime::Bound).unwrap();
    let repo = repo(&place);
    repo.set_remote(&server).unwrap();
    repo.publish(IMAGE).unwrap();
    let data = server.data().to_str().unwrap().to_owned();
    let litter: Vec<PathBuf> =
        ["aa", "bb"].iter().map(|pair| litter(server.data(), &pair.repeat(32), 1 << 20)).collect();
    let mut filler = fs::File::create(small.0.join("filler")).unwrap();
    let block = vec![1; 1 << 20];
    while std::io::Write::write_all(&mut filler, &block).is_ok() {}

    let view = small.read_only(&place.join("view"));
    let seen = view.0.join("server").to_str().unwrap().to_owned();
    assert_says(&repo.refused(&["gc", "--to", &seen]).unwrap(), &["Read-only file system"]);
    // The litter is not what its names say.
    assert_says(&repo.refused(&["scrub", "--check", "--to", &seen]).unwrap(), &["2 objects damaged"]);
    repo.run(&["verify", IMAGE, "--store", &seen]).unwrap();
    assert_eq!(Request::get("/metadata/timestamp.json").send(server.delivery).unwrap().status, 200);
    assert!(litter.iter().all(|path| path.exists()));

    repo.run(&["gc", "--to", &data]).unwrap();
    assert!(litter.iter().all(|path| !path.exists()));
    repo.run(&["scrub", "--to", &data]).unwrap();
    repo.run(&["verify", IMAGE, "--store", &data]).unwrap();
}

//! Stores that somebody has prepared.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::thread;

use super::*;

const HASH: Hash = Hash::Sha512_256;

fn content() -> Vec<u8> {
    b"bascule ".repeat(1000)
}

fn chunk() -> CasyncChunk {
    CasyncChunk { id: HASH.id(&content()), len: 8000 }
}

fn frame() -> Vec<u8> {
    cacnk::encode(&content()).unwrap()
}

/// A directory with the chunk's directory in it, and the place of the chunk.
fn place() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let place = tempfile::tempdir().unwrap();
    let castr = place.path().join("default.castr");
    let file = castr.join(chunk().id.dir()).join(chunk().id.file());
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    (place, castr, file)
}

fn get(castr: &Path) -> anyhow::Result<Vec<u8>> {
    Castr::open(castr.to_str().unwrap()).unwrap().chunk(&chunk(), HASH)
}

fn refused(castr: &Path) -> String {
    format!("{:#}", get(castr).unwrap_err())
}

#[test]
fn a_directory_has_a_chunk_in_either_form() {
    let (_place, castr, file) = place();
    assert!(refused(&castr).ends_with("it is not there"));
    fs::write(file.with_extension(""), content()).unwrap();
    assert_eq!(get(&castr).unwrap(), content());
    fs::write(&file, frame()).unwrap();
    assert_eq!(get(&castr).unwrap(), content());
    // The compressed one is the one that is taken: its damage is not passed over.
    fs::write(&file, b"damaged").unwrap();
    assert!(refused(&castr).contains("compressed with nothing known"));
}

#[test]
fn only_regular_files_below_the_directory_are_read() {
    let (place, castr, file) = place();
    let elsewhere = place.path().join("elsewhere");
    fs::write(&elsewhere, frame()).unwrap();
    symlink(&elsewhere, &file).unwrap();
    assert!(refused(&castr).contains("found a symbolic link"));
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    assert!(refused(&castr).contains("expected a regular file"));
    fs::remove_dir(&file).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &file, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert!(refused(&castr).contains("expected a regular file"));
    fs::remove_file(&file).unwrap();

    let dir = file.parent().unwrap();
    let moved = place.path().join("moved");
    fs::rename(dir, &moved).unwrap();
    fs::write(moved.join(chunk().id.file()), frame()).unwrap();
    symlink(&moved, dir).unwrap();
    assert!(refused(&castr).contains("expected a directory, found a link"));
    // The directory itself is what the person has named.
    let named = place.path().join("named");
    fs::remove_file(dir).unwrap();
    fs::rename(&moved, dir).unwrap();
    symlink(&castr, &named).unwrap();
    assert_eq!(get(&named).unwrap(), content());
}

#[test]
fn a_file_longer_than_any_form_of_the_chunk_is_not_read() {
    let (_place, castr, file) = place();
    fs::write(&file, vec![0; Form::Compressed.max(8000) as usize + 1]).unwrap();
    assert!(refused(&castr).contains("expected at most 9149 bytes, found more"));
    // Sparse, so large that reading it would be noticed.
    fs::File::create(&file).unwrap().set_len(1 << 40).unwrap();
    assert!(refused(&castr).contains("expected at most 9149 bytes, found more"));
}

#[test]
fn new_directories_are_never_behind_links() {
    let (place, castr, _file) = place();
    let opened = fs::File::open(place.path()).unwrap();
    create_or_open(&opened, "default.castr").unwrap();
    symlink(&castr, place.path().join("link")).unwrap();
    fs::write(place.path().join("file"), b"").unwrap();
    for name in ["link", "file"] {
        let error = create_or_open(&opened, name).unwrap_err().to_string();
        assert!(error.contains("found a symbolic link or a file"), "{error}");
    }
    create_or_open(&opened, "new").unwrap();
    assert!(place.path().join("new").is_dir());
}

/// Answers one request after the other with what `answers` do.
fn serve(answers: Vec<fn(&mut TcpStream)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for answer in answers {
            let mut stream = listener.accept().unwrap().0;
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).unwrap();
            answer(&mut stream);
        }
    });
    format!("http://{address}/default.castr")
}

fn answer(stream: &mut TcpStream, status: &str, headers: &str, body: &[u8]) {
    write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\n{headers}\r\n").unwrap();
    // A client that has seen enough goes away.
    let _ = stream.write_all(body);
}

fn got(answers: Vec<fn(&mut TcpStream)>) -> anyhow::Result<Vec<u8>> {
    Castr::open(&serve(answers)).unwrap().chunk(&chunk(), HASH)
}

#[test]
fn a_server_is_asked_again_when_it_is_busy_or_breaks_off() {
    let good = got(vec![
        |stream| answer(stream, "503 Busy", "Retry-After: 0\r\n", b""),
        |stream| answer(stream, "200 OK", "Content-Length: 5000\r\n", b"broken off"),
        |stream| answer(stream, "200 OK", "", &frame()),
    ]);
    assert_eq!(good.unwrap(), content());
}

#[test]
fn a_server_may_have_the_plain_form() {
    let absent: fn(&mut TcpStream) = |stream| answer(stream, "404 Not Found", "Content-Length: 0\r\n", b"");
    let plain: fn(&mut TcpStream) = |stream| answer(stream, "200 OK", "", &content());
    let good = got(vec![absent, plain]);
    assert_eq!(good.unwrap(), content());
}

#[test]
fn hostile_servers_are_refused_at_once() {
    let endless: fn(&mut TcpStream) = |stream| {
        write!(stream, "HTTP/1.1 200 OK\r\n\r\n").unwrap();
        while stream.write_all(&[0; 4096]).is_ok() {}
    };
    let huge: fn(&mut TcpStream) =
        |stream| answer(stream, "200 OK", "Content-Length: 1000000000000\r\n", &[0; 100_000]);
    let wrong: fn(&mut TcpStream) =
        |stream| answer(stream, "200 OK", "", &cacnk::encode(&[b'x'; 8000]).unwrap());
    let bomb: fn(&mut TcpStream) =
        |stream| answer(stream, "200 OK", "", &cacnk::encode(&vec![0; 16 << 20]).unwrap());
    let elsewhere: fn(&mut TcpStream) =
        |stream| answer(stream, "302 Found", "Location: http://127.0.0.1:1/\r\n", b"");
    for (hostile, words) in [
        (endless, "expected at most 9149 bytes, found more"),
        (huge, "expected at most 9149 bytes, found more"),
        (wrong, "expected content with the digest"),
        (bomb, "zstd decompression to 8000 bytes failed"),
        (elsewhere, "expected status 200, found 302"),
    ] {
        let error = format!("{:#}", got(vec![hostile]).unwrap_err());
        assert!(error.contains(words), "expected {words:?} in {error}");
        assert!(error.contains(&chunk().id.to_string()), "{error}");
    }
}

#[test]
fn only_http_is_spoken() {
    for spec in ["https://host/x", "file:///etc", "ftp://host", "ssh://host"] {
        let error = Castr::open(spec).unwrap_err().to_string();
        assert!(error.contains("expected http://HOST"), "{error}");
    }
}

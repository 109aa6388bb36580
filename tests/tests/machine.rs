//! The virtual machine by itself: the firmware boots from the network through the relay, falls back to the disk, and the
//! guest reaches nothing but the forwarded ports.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use bascule_tests::process::Lifetime;
use bascule_tests::vm::{Config, SERVER_IP, Vm, config};
use bascule_tests::workspace;

const LIMIT: Duration = Duration::from_secs(90);

/// Prints a line through the BIOS and stops.
fn boot_sector() -> [u8; 512] {
    // xor ax,ax; mov ds,ax; mov si,text; next: lodsb; test al,al; jz $; mov ah,0eh; int 10h; jmp next
    const CODE: [u8; 18] = [
        0x31, 0xc0, 0x8e, 0xd8, 0xbe, 0x12, 0x7c, 0xac, 0x84, 0xc0, 0x74, 0xfe, 0xb4, 0x0e, 0xcd, 0x10, 0xeb,
        0xf5,
    ];
    const TEXT: &[u8] = b"the disk boots\r\n\0";
    let mut sector = [0; 512];
    sector[..CODE.len()].copy_from_slice(&CODE);
    sector[CODE.len()..CODE.len() + TEXT.len()].copy_from_slice(TEXT);
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

/// Answers every request with `script`.
fn serve(listener: TcpListener, script: String) {
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).unwrap();
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", script.len());
            stream.write_all((head + &script).as_bytes()).unwrap();
        }
    });
}

fn fresh(name: &str) -> PathBuf {
    let dir = workspace::target_dir().join("bascule-machine").join(name);
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

fn config(dir: &Path, delivery: u16, admin: u16) -> Config {
    let disk = dir.join("disk.raw");
    config::blank_disk(&disk, 64).unwrap();
    File::options().write(true).open(&disk).unwrap().write_all_at(&boot_sector(), 0).unwrap();
    Config {
        name: "machine".into(),
        dir: dir.into(),
        mac: "52:54:00:aa:bb:cc".into(),
        disks: vec![disk],
        delivery,
        admin,
    }
}

#[test]
fn boots_from_the_network_then_from_the_disk_and_reaches_nothing_else() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let outside = TcpListener::bind("127.0.0.1:0").unwrap();
    let (delivery, other) = (server.local_addr().unwrap().port(), outside.local_addr().unwrap().port());
    let script = format!(
        "#!ipxe\necho node ${{netX/mac:hexhyp}} of the closed network\n\
         imgfetch http://10.0.2.2:{other}/ && echo the network is open || echo the host is out of reach\nexit\n"
    );
    serve(server, script);
    let dir = fresh("network");
    // No admin listener here: the second forward leads nowhere.
    let mut vm = Vm::start(config(&dir, delivery, 1), Lifetime::Bound).unwrap();
    let console = vm.console.clone();
    let (_, at) =
        console.wait(console.start(), &["node 52-54-00-aa-bb-cc of the closed network"], LIMIT).unwrap();
    let (line, at) = console.wait(at, &["the network is open", "the host is out of reach"], LIMIT).unwrap();
    assert_eq!(line.text, "the host is out of reach", "a guest must reach the relay at {SERVER_IP} only");
    console.wait(at, &["the disk boots"], LIMIT).unwrap();
    assert_eq!(vm.node(), "52-54-00-aa-bb-cc");

    let mark = vm.reset().unwrap();
    console.wait(mark, &["node 52-54-00-aa-bb-cc"], LIMIT).unwrap();
    vm.power_off();
    assert!(dir.join("console.log").metadata().unwrap().len() > 0);
}

#[test]
fn without_a_server_the_disk_boots() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let vm = Vm::start(config(&fresh("no-server"), closed, closed), Lifetime::Bound).unwrap();
    vm.console.wait(vm.console.start(), &["the disk boots"], LIMIT).unwrap();
    vm.power_off();
}

#[test]
fn a_relay_without_a_server_says_nothing_to_the_guest() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_bascule-tests"))
        .args(["relay", &closed.to_string()])
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert!(!output.status.success());
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "");
    // QEMU gives the guest's connection as standard error too.
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

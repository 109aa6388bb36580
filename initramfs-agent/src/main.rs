//! `imgagent`: `/init` in the initramfs, the health service and the status in the booted system.

use std::process::ExitCode;

use initramfs_agent::{health, identity, init, status};

const HELP: &str = "\
imgagent, the agent of a Bascule node

Usage:
  imgagent health          check the running image, confirm its slot, report (a systemd service)
  imgagent status [--json] slots, attempts, quarantine, server, key
  imgagent identity        the node's public key, and what the server said about it
  imgagent identity --new  make a new key, after the old one was revoked; it waits for approval
  imgagent --version
  imgagent --help

As process 1 of an initramfs it boots the node; see ARCHITECTURE.md.
";

fn main() -> ExitCode {
    if std::process::id() == 1 {
        init::run();
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["health"] => health::run(),
        ["status"] => status::run(false).map(|()| ExitCode::SUCCESS),
        ["status", "--json"] => status::run(true).map(|()| ExitCode::SUCCESS),
        ["identity"] => identity::show().map(|()| ExitCode::SUCCESS),
        ["identity", "--new"] => identity::renew().map(|()| ExitCode::SUCCESS),
        ["--help" | "-h" | "help"] => return print(HELP),
        ["--version" | "-V"] => return print(concat!("imgagent ", env!("CARGO_PKG_VERSION"), "\n")),
        [] => return usage("no verb given"),
        [first, ..] => return usage(&format!("unknown: {first}")),
    };
    result.unwrap_or_else(|error| {
        eprintln!("imgagent: {error:#}");
        ExitCode::FAILURE
    })
}

fn print(text: &str) -> ExitCode {
    print!("{text}");
    ExitCode::SUCCESS
}

fn usage(problem: &str) -> ExitCode {
    eprintln!("imgagent: {problem}\n\n{HELP}");
    ExitCode::from(2)
}

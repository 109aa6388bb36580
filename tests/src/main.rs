//! `bascule-tests`: the program behind `cargo demo`, `cargo verify`, `cargo conformance` and `cargo performance`.

use std::process::ExitCode;

use anyhow::{Result, bail};
use bascule_tests::{conformance, demo, performance, relay, verify, view::View};

const USAGE: &str = "\
usage: cargo demo [--keep] [--no-install] [--no-build]
       cargo verify [--only STAGE]... [--skip-e2e]
       cargo conformance --suite DIR
       cargo performance [--only TABLE]... [--runs N]

  --keep        leave the server and the virtual machine running in the end
  --no-install  do not look for missing system packages and toolchain parts
  --no-build    use the programs as they were built last
  --only STAGE  run this stage alone (cargo verify --only help lists them)
  --skip-e2e    leave out the stages that need a virtual machine
  --suite DIR   the public TUF conformance suite (without it the command says how to get it)
  --only TABLE  measure this alone: wire, publish, update, serve";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let ["relay", port] = words.as_slice() {
        return relay(port);
    }
    let view = View::new();
    match dispatch(&words, &view) {
        Ok(code) => code,
        Err(error) => {
            view.all_failed();
            view.note(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Standard output and standard error are both the guest's connection (QEMU starts the relay so): not a word may go there.
fn relay(port: &str) -> ExitCode {
    match port.parse().map(relay::run) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(_)) | Err(_) => ExitCode::FAILURE,
    }
}

fn dispatch(words: &[&str], view: &View) -> Result<ExitCode> {
    match words {
        ["demo", rest @ ..] => demo::run(view, demo::Options::parse(rest)?)?,
        ["verify", rest @ ..] => return verify::run(view, &verify::Options::parse(rest)?),
        ["conformance", rest @ ..] => conformance::run(view, &conformance::Options::parse(rest)?)?,
        ["performance", rest @ ..] => performance::run(view, &performance::Options::parse(rest)?)?,
        ["help" | "--help" | "-h"] => println!("{USAGE}"),
        _ => bail!("unknown arguments {words:?}\n{USAGE}"),
    }
    Ok(ExitCode::SUCCESS)
}

//! Keys of OpenSSL and OpenSSH, an ssh-agent and a command that sign: with the real programs.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use bascule_tests::fleet::Repo;
use bascule_tests::workspace;
use serde_json::Value;

use crate::common::{assert_says, place, view};

/// A new repository with one key a role.
fn repository(place: &Path) -> Repo<'static> {
    let repo = Repo::at(view(), &place.join("repo"), &workspace::root().join("images")).unwrap();
    repo.init(None).unwrap();
    repo
}

fn done(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}\n{out}\n{err}", output.status);
    out.into_owned()
}

fn failed(output: &Output) -> String {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!output.status.success(), "{out}\n{err}");
    err.into_owned()
}

fn openssl(args: &[&str], dir: &Path) -> Output {
    Command::new("openssl").args(args).current_dir(dir).output().unwrap()
}

fn private(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn public_pem(repo: &Repo<'_>, file: &Path, passphrase: &str) -> String {
    let mut command = repo.command(&["key", "show", text(file)]);
    let shown: Value =
        serde_json::from_str(&done(&command.env("BASCULE_PASSPHRASE", passphrase).output().unwrap()))
            .unwrap();
    shown["public_pem"].as_str().unwrap().to_owned()
}

/// Lets pins be signed by `key` alone, and takes the key away that signed them before.
fn pins_by(repo: &Repo<'_>, place: &Path, key: &Path) {
    let file = place.join("pins.json");
    let add = format!("pins={}", text(key));
    repo.run(&["root", "prepare", "--add-key", &add, "--remove-key", "pins=pins", "-o", text(&file)])
        .unwrap();
    // The role itself is signed anew by its new key: here, or by whoever has it.
    repo.run(&["root", "sign", text(&file), "--yes"]).unwrap();
}

fn commit(repo: &Repo<'_>, place: &Path) {
    repo.run(&["root", "commit", text(&place.join("pins.json"))]).unwrap();
    fs::remove_file(repo.dir().join("keys/pins.pem")).unwrap();
    fs::remove_file(repo.dir().join("keys/pins.pub")).unwrap();
}

fn assign(repo: &Repo<'_>, group: &str) -> Command {
    repo.command(&["assign", "--default", group])
}

fn configure(repo: &Repo<'_>, signer: &str) {
    let path = repo.dir().join("bascule.toml");
    let mut file = fs::File::options().append(true).open(path).unwrap();
    file.write_all(format!("\n[[signer]]\nrole = \"pins\"\n{signer}\n").as_bytes()).unwrap();
}

#[test]
fn openssl_and_imgtool_open_each_others_encrypted_keys() {
    let place = place("openssl-keys");
    let repo = repository(&place);
    let make: [&[&str]; 4] = [
        &["genpkey", "-algorithm", "ed25519", "-aes-256-cbc", "-pass", "pass:secret", "-out", "theirs.pem"],
        &["genpkey", "-algorithm", "ed25519", "-aes-128-cbc", "-pass", "pass:secret", "-out", "aes128.pem"],
        &["genpkey", "-algorithm", "ed25519", "-out", "plain.pem"],
        &["pkcs8", "-topk8", "-scrypt", "-in", "plain.pem", "-passout", "pass:secret", "-out", "scrypt.pem"],
    ];
    for args in make {
        done(&openssl(args, &place));
    }
    for name in ["theirs.pem", "aes128.pem", "plain.pem", "scrypt.pem"] {
        let file = place.join(name);
        private(&file);
        let theirs = openssl(&["pkey", "-pubout", "-passin", "pass:secret", "-in", name], &place);
        assert_eq!(public_pem(&repo, &file, "secret"), done(&theirs), "{name}");
    }
    // Ours, there.
    let ours = place.join("ours.pem");
    let mut command = repo.command(&["key", "new", "--out", text(&ours), "--encrypt"]);
    done(&command.env("BASCULE_PASSPHRASE", "a long one").output().unwrap());
    let read = |passphrase: &str| {
        let passphrase = format!("pass:{passphrase}");
        openssl(&["pkey", "-pubout", "-passin", &passphrase, "-in", "ours.pem"], &place)
    };
    assert_eq!(done(&read("a long one")), fs::read_to_string(place.join("ours.pub")).unwrap());
    failed(&read("another"));

    // A key of theirs signs pins. An encrypted file says nothing of its public half, so both are imported.
    let public = done(&openssl(&["pkey", "-pubout", "-passin", "pass:secret", "-in", "theirs.pem"], &place));
    let theirs_pub = place.join("theirs-public.pem");
    fs::write(&theirs_pub, public).unwrap();
    pins_by(&repo, &place, &theirs_pub);
    let theirs = place.join("theirs.pem");
    let mut sign =
        repo.command(&["root", "sign", text(&place.join("pins.json")), "--yes", "--key", text(&theirs)]);
    assert_says(
        &failed(&sign.env("BASCULE_PASSPHRASE", "secreT").output().unwrap()),
        &["theirs.pem", "wrong passphrase"],
    );
    done(&sign.env("BASCULE_PASSPHRASE", "secret").output().unwrap());
    commit(&repo, &place);
    assert_says(&repo.refused(&["assign", "--default", "web"]).unwrap(), &["no key for role pins"]);
    let mut import = repo.command(&["key", "import", "pins", text(&theirs)]);
    done(&import.env("BASCULE_PASSPHRASE", "secret").output().unwrap());
    let kept = fs::read_to_string(repo.dir().join("keys/pins.pem")).unwrap();
    assert_eq!(kept, fs::read_to_string(&theirs).unwrap(), "it stays encrypted");
    done(&assign(&repo, "web").env("BASCULE_PASSPHRASE", "secret").output().unwrap());
    let refused = failed(&assign(&repo, "db").env("BASCULE_PASSPHRASE", "other").output().unwrap());
    assert_says(&refused, &["wrong passphrase"]);
}

/// Keys of OpenSSH: an Ed25519 one, an encrypted one, one of another type.
fn ssh_keys(place: &Path) -> PathBuf {
    for (name, kind, passphrase) in
        [("id", "ed25519", ""), ("locked", "ed25519", "secret"), ("ecdsa", "ecdsa", "")]
    {
        let file = place.join(name);
        let args = ["-q", "-t", kind, "-N", passphrase, "-C", "admin@desk", "-f", text(&file)];
        done(&Command::new("ssh-keygen").args(args).stdin(Stdio::null()).output().unwrap());
    }
    place.join("id")
}

#[test]
fn keys_of_openssh_are_read() {
    let place = place("openssh-keys");
    let repo = repository(&place);
    let key = ssh_keys(&place);
    let public = public_pem(&repo, &place.join("id.pub"), "");
    assert_eq!(public_pem(&repo, &key, ""), public);
    let shown = |name: &str| repo.refused(&["key", "show", text(&place.join(name))]).unwrap();
    assert_says(&shown("locked"), &["the OpenSSH key is encrypted", "ssh-add"]);
    assert_says(&shown("ecdsa"), &["expected one Ed25519 key"]);
    assert_says(&shown("ecdsa.pub"), &["expected an Ed25519 key", "ecdsa-sha2-nistp256"]);
    // The same key, as OpenSSL sees it: the public half is one and the same.
    let imported = repo.run(&["key", "import", "root", text(&place.join("id.pub"))]).unwrap().0;
    assert_eq!(imported["public_pem"], public.as_str());
    fs::write(place.join("id.pem"), &public).unwrap();
    assert_says(
        &done(&openssl(&["pkey", "-pubin", "-noout", "-text", "-in", "id.pem"], &place)),
        &["ED25519"],
    );
    // The private half signs from where it lies.
    pins_by(&repo, &place, &place.join("id.pub"));
    repo.run(&["root", "sign", text(&place.join("pins.json")), "--yes", "--key", text(&key)]).unwrap();
    commit(&repo, &place);
    configure(&repo, &format!("kind = \"file\"\nfile = {:?}", text(&key)));
    done(&assign(&repo, "web").output().unwrap());
}

/// A private agent, ended by its own id.
struct Agent {
    child: Child,
    socket: PathBuf,
}

impl Agent {
    fn start(place: &Path) -> Self {
        // A socket's path is short; that of the target directory may not be.
        let dir = tempfile(place);
        let socket = dir.join("agent");
        let child = Command::new("ssh-agent")
            .args(["-D", "-a", text(&socket)])
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let agent = Self { child, socket };
        let begin = Instant::now();
        // Nothing tells that it listens but a connection that succeeds.
        while std::os::unix::net::UnixStream::connect(&agent.socket).is_err() {
            assert!(begin.elapsed() < Duration::from_secs(10), "ssh-agent does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        agent
    }

    fn add(&self, args: &[&str]) {
        let mut command = Command::new("ssh-add");
        done(&command.args(args).env("SSH_AUTH_SOCK", &self.socket).stdin(Stdio::null()).output().unwrap());
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(self.socket.parent().unwrap());
    }
}

/// A private directory with a short name.
fn tempfile(place: &Path) -> PathBuf {
    let name = format!("bascule-{}-{}", std::process::id(), place.file_name().unwrap().display());
    let dir = std::env::temp_dir().join(name);
    fs::create_dir_all(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
    dir
}

#[test]
fn an_ssh_agent_signs() {
    let place = place("ssh-agent");
    let repo = repository(&place);
    let key = ssh_keys(&place);
    let agent = Agent::start(&place);
    // The key is not the only one, nor the first.
    agent.add(&["-q", text(&place.join("ecdsa"))]);
    agent.add(&["-q", text(&key)]);
    let mut listed = repo.command(&["key", "show", text(&place.join("id.pub"))]);
    let keyid: Value = serde_json::from_str(&done(&listed.output().unwrap())).unwrap();
    fs::remove_file(&key).unwrap();
    pins_by(&repo, &place, &place.join("id.pub"));
    let proposal = place.join("pins.json");
    let with_agent = |command: &mut Command| command.env("SSH_AUTH_SOCK", &agent.socket).output().unwrap();
    let mut sign = repo.command(&["root", "sign", text(&proposal), "--yes", "--ssh-agent"]);
    assert_says(&failed(&sign.env_remove("SSH_AUTH_SOCK").output().unwrap()), &["SSH_AUTH_SOCK is not set"]);
    let signed: Value = serde_json::from_str(&done(&with_agent(&mut sign))).unwrap();
    assert_eq!(signed["complete"], true, "{signed}");
    commit(&repo, &place);
    configure(&repo, "kind = \"ssh-agent\"");
    done(&with_agent(&mut assign(&repo, "web")));
    let status: Value =
        serde_json::from_str(&done(&with_agent(&mut repo.command(&["trust", "status"])))).unwrap();
    let pins = status["roles"].as_array().unwrap().iter().find(|row| row["role"] == "pins").unwrap();
    assert_eq!(
        (&pins["keys"][0]["keyid"], pins["keys"][0]["here"].as_str()),
        (&keyid["keyid"], Some("ssh-agent"))
    );
    let refused = failed(&assign(&repo, "db").env("SSH_AUTH_SOCK", "/nonexistent").output().unwrap());
    assert_says(&refused, &["nothing was signed", "use ssh-agent", "/nonexistent"]);
    agent.add(&["-q", "-D"]);
    assert_says(&failed(&with_agent(&mut assign(&repo, "db"))), &["no key for role pins"]);
}

#[test]
fn a_command_signs_and_what_it_says_is_checked() {
    let place = place("signing-command");
    let repo = repository(&place);
    done(&openssl(&["genpkey", "-algorithm", "ed25519", "-out", "token.pem"], &place));
    done(&openssl(&["genpkey", "-algorithm", "ed25519", "-out", "other.pem"], &place));
    done(&openssl(&["pkey", "-pubout", "-in", "token.pem", "-out", "token.pub"], &place));
    let script = place.join("sign.sh");
    // OpenSSL signs files only: it wants to know the length.
    let body = "#!/bin/sh\nset -e\ncd \"$(dirname \"$0\")\"\ncat > message\nopenssl pkeyutl -sign -rawin -inkey \"${KEY:-token.pem}\" -in message\n";
    fs::write(&script, body).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    pins_by(&repo, &place, &place.join("token.pub"));
    let public = place.join("token.pub");
    let proposal = place.join("pins.json");
    let args =
        ["root", "sign", text(&proposal), "--yes", "--command", text(&script), "--public", text(&public)];
    let refused = failed(&repo.command(&args).env("KEY", "other.pem").output().unwrap());
    assert_says(&refused, &["did not sign pins", "its signature does not verify"]);
    done(&repo.command(&args).output().unwrap());
    commit(&repo, &place);
    configure(
        &repo,
        &format!("kind = \"command\"\ncommand = [{:?}]\nkey = {:?}", text(&script), text(&public)),
    );
    done(&assign(&repo, "web").output().unwrap());
    for (key, words) in [("other.pem", "does not verify"), ("missing.pem", "it failed with exit status: 1")] {
        let refused = failed(&assign(&repo, "db").env("KEY", key).output().unwrap());
        assert_says(&refused, &["nothing was signed", words]);
    }
}

use super::*;
use crate::build::tree::{Node, split};

const PEM_BODY: &str = "MIIEpAIBAAKCAQEA0Z3VS5JJcds3xfn/ygWyF8PbnGy0AHB7MaFPbQKXy7EoXxXp\n";
const B64_43: &str = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk";

fn tree(files: &[(&str, &[u8])]) -> Tree {
    let mut tree = Tree::new(None, 0);
    for (path, bytes) in files {
        tree.make_dirs(split(path).0, 0).unwrap();
        tree.insert(path, Node::new(Kind::File(Content::Bytes((*bytes).into())), 0o644, 0)).unwrap();
    }
    tree
}

fn found(path: &str, bytes: &[u8]) -> Option<(String, String)> {
    let content = Content::Bytes(bytes.into());
    let found = look(&tree(&[]), path, &content).unwrap()?;
    Some((found.what.to_owned(), found.why))
}

/// What the file is taken for.
fn what(path: &str, bytes: impl AsRef<[u8]>) -> String {
    found(path, bytes.as_ref()).map_or_else(|| "nothing".to_owned(), |(what, _)| what)
}

fn allow(path: &str) -> AllowSecret {
    AllowSecret { path: path.into(), reason: "a test".into(), place: "recipe.toml:1:1".into() }
}

#[test]
fn private_keys_are_told_by_their_content() {
    let pem = |label: &str| format!("-----BEGIN {label}-----\n{PEM_BODY}-----END {label}-----\n");
    for label in
        ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "OPENSSH PRIVATE KEY"]
    {
        assert_eq!(what("opt/any", pem(label)), "private key", "{label}");
    }
    let header = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n";
    for (bytes, expected) in [
        (format!("-----BEGIN RSA PRIVATE KEY-----\n{header}{PEM_BODY}"), "private key"),
        (format!("-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: 1\n\n{PEM_BODY}"), "private key"),
        (format!("{{\"private_key\": \"-----BEGIN PRIVATE KEY-----\\n{PEM_BODY}"), "private key"),
        (format!("key: |\n    -----BEGIN EC PRIVATE KEY-----\n    {PEM_BODY}"), "private key"),
        ("PuTTY-User-Key-File-3: ssh-ed25519\n".into(), "PuTTY private key"),
        ("SSH PRIVATE KEY FILE FORMAT 1.1\n\0".into(), "SSH-1 private key"),
        (format!("# created\nAGE-SECRET-KEY-1{}\n", "Q".repeat(58)), "age identity"),
        ("untrusted comment: minisign encrypted secret key\nRWQ\n".into(), "signify or minisign secret key"),
        ("(21:protected-private-key(3:rsa".into(), "GnuPG private key"),
        ("Created: 2024\nKey: (private-key (ecc".into(), "GnuPG private key"),
        ("Private-key-format: v1.3\n".into(), "DNSSEC private key"),
        (format!("[Interface]\nPrivateKey = {B64_43}=\n"), "WireGuard key"),
        (format!("[WireGuardPeer]\nPresharedKey={B64_43}=\n"), "WireGuard key"),
        ("key \"ddns\" { algorithm hmac-sha256; secret \"c2VjcmV0c2VjcmV0c2VjcmV0\"; };".into(), "TSIG key"),
        ("[client.admin]\n\tkey = AQBdX0NlAAAAABAAo3mHyvqZUdZ0ZV8ZV8ZV8Z==\n".into(), "Ceph key"),
    ] {
        assert_eq!(what("opt/any", &bytes), expected, "{bytes}");
    }
    for (bytes, expected) in [
        (&b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22"[..], "private key"),
        (b"\x30\x82\x04\xbd\x02\x01\x00\x30\x0d\x06", "private key"),
        (b"\x30\x82\x04\xa4\x02\x01\x00\x02\x82\x01\x01", "private key"),
        (b"\x30\x77\x02\x01\x01\x04\x20", "private key"),
        (b"\x30\x82\x05\x2d\x30\x57\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d", "encrypted private key"),
        (b"\x30\x82\x09\x9f\x02\x01\x03\x30\x82", "PKCS #12 key store"),
        (b"\xfe\xed\xfe\xed\0\0\0\x02\0\0\0\x01\0\0\0\x01", "Java key store with a private key"),
        (b"\xfe\xed\xfe\xed\0\0\0\x02\0\0\0\x01\0\0\0\x02", "nothing"),
        (b"\x95\x03\x98\x04\x60\0\0\0\x01", "OpenPGP secret key"),
        (b"\x99\x01\x0d\x04\x60\0\0\0\x01", "nothing"),
        (b"\x05\x02\0\0\0\x42\0\x01", "Kerberos keytab"),
    ] {
        assert_eq!(what("opt/any", bytes), expected, "{bytes:x?}");
    }
}

#[test]
fn tokens_are_told_by_their_prefixes() {
    let (a36, a40) = ("a1B2c3D4e5".repeat(4)[..36].to_owned(), "a1B2c3D4e5".repeat(4));
    for (text, expected) in [
        (format!("token: ghp_{a36}"), "GitHub token"),
        (format!("github_pat_{}", "a1B2c3_D4e".repeat(7)), "GitHub token"),
        (format!("glpat-{}", &a36[..20]), "GitLab token"),
        ("id = AKIAQ2W3E4R5T6Y7U2I3".into(), "AWS access key"),
        (format!("AWS_SECRET_ACCESS_KEY={a40}\n"), "AWS secret key"),
        ("xoxb-123456789012-123456789012-abcdefgh".into(), "Slack token"),
        (format!("AIza{}", &a36[..35]), "Google token"),
        (format!("sk_live_{}", &a36[..24]), "Stripe key"),
        (format!("npm_{a36}\n"), "npm token"),
        (format!("hvs.{}", &a36[..30]), "Vault token"),
        (format!("dop_v1_{}", "0123456789abcdef".repeat(4)), "DigitalOcean token"),
        (format!("sk-ant-api03-{a36}"), "API key"),
        (format!("Authorization: Bearer {a36}"), "HTTP credentials"),
        (format!("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.{a36}"), "JSON web token"),
        (format!("bascule-join-1.ab12.{a36}.{}", "0".repeat(64)), "Bascule join token"),
        (format!("K10{}::server:{a36}", "0123456789abcdef".repeat(4)), "k3s token"),
        ("url = https://bob:hunter22@db.example/".into(), "password in a URL"),
        (format!("admin:$6$saltsalt${}", "a".repeat(86)), "password hash"),
        (format!("password_pbkdf2 root grub.pbkdf2.sha512.10000.{}", "AB".repeat(64)), "password hash"),
    ] {
        assert_eq!(what("srv/any.conf", &text), expected, "{text}");
    }
}

#[test]
fn files_are_told_by_where_they_lie() {
    for (path, text, expected) in [
        ("etc/machine-id", "b08dfa6083e7567a1921a715000001fb\n", "machine id"),
        ("etc/machine-id", "uninitialized\n", "nothing"),
        ("etc/ssh/ssh_host_ed25519_key", "any", "SSH host key"),
        ("etc/ssh/ssh_host_ed25519_key.pub", "ssh-ed25519 AAAA", "nothing"),
        ("root/.ssh/id_ed25519", "any", "SSH private key"),
        ("root/.ssh/id_ed25519.pub", "ssh-ed25519 AAAA", "nothing"),
        ("etc/pacemaker/authkey", "x", "cluster key"),
        ("etc/corosync/authkey", "x", "cluster key"),
        ("etc/krb5.keytab", "x", "Kerberos keytab"),
        ("root/.gnupg/private-keys-v1.d/AB.key", "x", "GnuPG private key"),
        ("etc/ssl/private/ssl-cert-snakeoil.key", "x", "TLS private key"),
        ("var/lib/systemd/random-seed", "x", "random seed"),
        ("var/lib/systemd/credential.secret", "x", "key of systemd's credentials"),
        ("etc/credstore/db.password", "x", "systemd credential"),
        ("root/.netrc", "machine a login b password c", "password"),
        ("root/.pgpass", "# host:port\nh:5432:d:u:pw\n", "PostgreSQL password"),
        ("root/.pgpass", "# host:port:db:user:pw\n", "nothing"),
        ("root/.npmrc", "//registry/:_authToken=abc\n", "npm credentials"),
        ("root/.npmrc", "//registry/:_authToken=${NPM_TOKEN}\n", "nothing"),
        (
            "root/.docker/config.json",
            "{\"auths\":{\"r\":{\"auth\":\"YTpi\"}}}",
            "container registry credentials",
        ),
        ("root/.docker/config.json", "{\"auths\":{}}", "nothing"),
        ("root/.aws/credentials", "[default]\n", "AWS credentials"),
        ("root/.kube/config", "users:\n- user:\n    token: abc\n", "Kubernetes credentials"),
        ("root/.kube/config", "kind: Config\nclusters: []\n", "nothing"),
        ("etc/kubernetes/admin.conf", "    client-key-data: LS0t\n", "Kubernetes credentials"),
        (
            "etc/NetworkManager/system-connections/w.nmconnection",
            "[wifi-security]\npsk=12345678\n",
            "network password",
        ),
        ("etc/apt/auth.conf.d/a.conf", "machine a login b password c", "password"),
        ("root/.git-credentials", "https://u:p@host", "Git credentials"),
        ("root/.bash_history", "ls\n", "history of typed commands"),
        ("srv/bascule/admin.token", "abc", "token of a Bascule server"),
    ] {
        assert_eq!(what(path, text), expected, "{path}: {text}");
    }
}

#[test]
fn password_hashes_are_found_in_lists_and_backups() {
    let locked = "root:*:19000:0:99999:7:::\nbin:!*:1::::::\nnew:!:1::::::\nnone:!!:1::::::\n";
    assert_eq!(found("etc/shadow", locked.as_bytes()), None);
    for path in ["etc/shadow", "etc/shadow-", "var/backups/shadow.bak", "etc/gshadow", "etc/passwd"] {
        let found = found(path, b"root:*:1\nbob:$y$j9T$abc:1\neve:!$6$x$y:1\n").unwrap();
        assert_eq!(found, ("password hash".into(), "of bob, eve".into()), "{path}");
    }
    let many: String = (0..9).map(|number| format!("u{number}:abc:1\n")).collect();
    assert_eq!(found("etc/shadow", many.as_bytes()).unwrap().1, "of u0, u1, u2, u3, u4 and 4 more");
    assert_eq!(what("etc/security/opasswd", "bob:1000:1:$y$j9T$abc\n"), "password hash");
    assert_eq!(what("etc/passwd", "root:x:0:0:root:/root:/bin/bash\n"), "nothing");
}

#[test]
fn certificates_and_texts_that_speak_of_keys_are_none() {
    for (path, text) in [
        ("etc/ssl/certs/a.pem", "-----BEGIN CERTIFICATE-----\nMII\n"),
        ("usr/lib/a.py", "x = '-----BEGIN RSA PRIVATE KEY-----'\n"),
        ("usr/lib/a.py", "if line.startswith(\"-----BEGIN PRIVATE KEY-----\"): pass\n"),
        ("etc/a.conf", "# AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE\n"),
        ("etc/a.conf", "# PrivateKey = <your key>\nAuthorization: Bearer $TOKEN\n"),
        ("etc/a.conf", "https://user:password-of-it\nhttps://$user:$password@host\n"),
        ("etc/a.conf", "$6$short\n$1$x\n"),
        ("root/.ssh/authorized_keys", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI\n"),
        ("etc/resolv.keys", "ghp_tooshort\n"),
    ] {
        assert_eq!(what(path, text), "nothing", "{path}: {text}");
    }
}

#[test]
fn what_a_package_ships_is_public() {
    let key = format!("-----BEGIN RSA PRIVATE KEY-----\n{PEM_BODY}");
    let digest: String = {
        use md5::Digest as _;
        md5::Md5::digest(key.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let sums = format!("{digest}  usr/share/doc/app/example.key\n{digest}  lib/app/test.key\n");
    let status =
        format!("Package: app\nConffiles:\n /etc/app.key {digest}\n /etc/other.key {}\n", "0".repeat(32));
    let tree = tree(&[
        ("usr/share/doc/app/example.key", key.as_bytes()),
        ("usr/lib/app/test.key", key.as_bytes()),
        ("etc/app.key", key.as_bytes()),
        ("etc/other.key", key.as_bytes()),
        ("srv/own.key", key.as_bytes()),
        ("var/lib/dpkg/info/app.md5sums", sums.as_bytes()),
        ("var/lib/dpkg/status", status.as_bytes()),
    ]);
    let error = refuse(&tree, &Shipped::of(&tree), &[]).unwrap_err().to_string();
    let named: Vec<&str> = error.lines().filter(|line| line.starts_with("  /")).collect();
    assert_eq!(
        named,
        ["  /etc/other.key: private key (at its start)", "  /srv/own.key: private key (at its start)"]
    );
}

#[test]
fn all_are_named_with_what_would_allow_them() {
    let tree = tree(&[
        ("etc/a.netrc/.netrc", b"password x"),
        ("root/.vault-token", b"x"),
        ("etc/empty/.vault-token", b""),
    ]);
    let shipped = Shipped::of(&tree);
    assert_eq!(
        refuse(&tree, &shipped, &[]).unwrap_err().to_string(),
        "the root tree has 2 secrets, and an image is public to every node:\n\
         \x20 /etc/a.netrc/.netrc: password (by its path and line 1)\n\
         \x20 /root/.vault-token: Vault token (by its path)\n\
         Leave them out (root.remove), or, where one is meant to be public, say so in the recipe and give the reason:\n\n\
         [[allow-secret]]\npath = \"/etc/a.netrc/.netrc\"\nreason = \"\"\n\n\
         [[allow-secret]]\npath = \"/root/.vault-token\"\nreason = \"\""
    );
    let error = refuse(&tree, &shipped, &[allow("/root/.vault-token")]).unwrap_err().to_string();
    assert!(error.contains("has 1 secret,") && !error.contains("vault"), "{error}");
    let list = [allow("/etc/a.netrc/.netrc"), allow("/root/.vault-token")];
    let allowed = refuse(&tree, &shipped, &list).unwrap();
    let expected = AllowedSecret {
        path: "/root/.vault-token".into(),
        what: "Vault token".into(),
        reason: "a test".into(),
    };
    assert_eq!(allowed[1], expected);

    let list = [list.as_slice(), &[allow("/etc/none")]].concat();
    assert_eq!(
        refuse(&tree, &shipped, &list).unwrap_err().to_string(),
        "recipe.toml:1:1: allow-secret /etc/none: the root tree has no such file, or it is no secret; remove the entry"
    );
}

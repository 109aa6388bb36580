//! Secrets that can be told by where they lie: files that hold nothing else, and files that may hold some.

use std::sync::LazyLock;

use regex::bytes::Regex;
use regex::{RegexSet, RegexSetBuilder};

use super::line;

/// Which paths (without a leading `/`), what their files hold, and the content that makes one of them a secret; none: any.
type Place = (&'static str, &'static str, Option<&'static str>);

#[rustfmt::skip]
const PLACES: &[Place] = &[
    // Identity of a machine: the same on all nodes it is worth nothing.
    // "uninitialized" is what systemd takes for none.
    (r"^etc/machine-id$|^var/lib/dbus/machine-id$", "machine id", Some(r"\A\s*(?:[^\su]|u[^n])")),
    (r"^etc/iscsi/initiatorname\.iscsi$", "iSCSI initiator name", Some(r"(?m)^InitiatorName=\S")),
    (r"^etc/nvme/host(?:id|nqn)$", "NVMe host identity", None),
    (r"(?:^|/)ssh_host_[a-z0-9_]+_key$|^etc/ssh/ssh_host_key$", "SSH host key", None),
    // Keys and seeds.
    (r"(?:^|/)\.ssh/(?:id|identity)[a-z0-9_-]*$", "SSH private key", None),
    (r"(?:^|/)(?:corosync|pacemaker|booth)/(?:authkey|[^/]*\.key)$", "cluster key", None),
    (r"(?:^|/)munge\.key$", "MUNGE key", None),
    (r"\.keytab$", "Kerberos keytab", None),
    (r"(?:^|/)krb5cc_[^/]*$", "Kerberos credential cache", None),
    (r"(?:^|/)krb5kdc/(?:stash|\.k5\.[^/]*|principal[^/]*)$", "Kerberos database", None),
    (r"(?:^|/)private-keys-v1\.d/[^/]+$|(?:^|/)secring\.(?:gpg|skr)$", "GnuPG private key", None),
    (r"^etc/wireguard/[^/]*(?:private|priv|psk|preshared)[^/]*$", "WireGuard key", None),
    (r"^etc/ssl/private/", "TLS private key", None),
    (r"^etc/letsencrypt/.*(?:privkey[^/]*\.pem|private_key\.json)$", "TLS private key", None),
    (r"(?:^|/)(?:rndc|session)\.key$", "key", None),
    (r"^(?:var/lib/systemd|var/lib/urandom|var/lib/misc|var/lib|loader|boot/loader|efi/loader)/random-seed$", "random seed", None),
    (r"^var/lib/systemd/credential\.secret$", "key of systemd's credentials", None),
    (r"^(?:etc|usr/lib|usr/local/lib|var/lib|run)/credstore(?:\.encrypted)?/", "systemd credential", None),
    (r"^var/lib/NetworkManager/secret_key$", "NetworkManager's key", None),
    (r"^var/lib/samba/private/|^etc/samba/smbpasswd$", "Samba secret", None),
    (r"(?:^|/)\.erlang\.cookie$", "Erlang cookie", None),
    // Network access.
    (r"^etc/NetworkManager/system-connections/", "network password", Some(r"(?m)^\s*(?:psk|password|private-key-password|wep-key[0-9]|leap-password)\s*=\s*\S")),
    (r"^etc/wpa_supplicant/", "network password", Some(r"(?m)^\s*(?:psk|password|sae_password|private_key_passwd)\s*=\s*\S")),
    (r"^var/lib/iwd/.+\.(?:psk|8021x)$", "network password", None),
    (r"^etc/ppp/(?:chap|pap|srp)-secrets$|^etc/ipsec\.secrets$|^etc/ipsec\.d/.*\.secrets$", "network password", Some(r"(?m)^[^#\s][^\n]*\S")),
    // Credentials of programs.
    (r"(?:^|/)[._]netrc$", "password", Some(r"(?i)\bpassword\s+\S")),
    (r"^etc/apt/auth\.conf(?:\.d/[^/]+)?$", "password", Some(r"(?i)\bpassword\s+\S")),
    (r"(?:^|/)\.pgpass$", "PostgreSQL password", Some(r"(?m)^[^#\s][^\n]*:[^\n]*:[^\n]*:[^\n]*:[^\n]+$")),
    (r"(?:^|/)\.my\.cnf$|^etc/mysql/debian\.cnf$", "MySQL password", Some(r"(?m)^\s*password\s*=\s*\S")),
    (r"(?:^|/)\.?npmrc$", "npm credentials", Some(r"(?m)_(?:authToken|auth|password)\s*=\s*[^\s$]")),
    (r"(?:^|/)\.pypirc$", "PyPI password", Some(r"(?m)^\s*password\s*[:=]\s*\S")),
    (r"(?:^|/)(?:\.dockercfg|\.docker/config\.json|containers/auth\.json|kubelet/config\.json)$", "container registry credentials", Some(r#""(?:auth|identitytoken|registrytoken|password)"\s*:\s*"[^"]"#)),
    (r"(?:^|/)\.aws/(?:credentials|(?:sso|cli)/cache/.+)$", "AWS credentials", Some(r"(?m)^[^#\s]")),
    (r"(?:^|/)gcloud/(?:credentials\.db|access_tokens\.db|application_default_credentials\.json|legacy_credentials/.+)$", "Google Cloud credentials", None),
    (r"(?:^|/)\.azure/(?:accessTokens\.json|msal_token_cache\.(?:json|bin)|service_principal_entries\.(?:json|bin))$", "Azure credentials", None),
    (r"(?:^|/)\.kube/config$|kubeconfig[^/]*$|^etc/kubernetes/[^/]+\.conf$|^etc/rancher/k3s/k3s\.yaml$", "Kubernetes credentials", Some(r"(?m)^\s*(?:-\s*)?(?:token|client-key-data|password|id-token|refresh-token)\s*:\s*\S")),
    (r"^var/lib/rancher/(?:k3s|rke2)/server/(?:node-)?token$|^etc/rancher/node/password$|secrets/kubernetes\.io/serviceaccount/token$", "Kubernetes token", None),
    (r"(?:^|/)(?:\.git-credentials|git/credentials)$", "Git credentials", Some(r"://[^/\s]+@")),
    (r"(?:^|/)gh/hosts\.yml$", "GitHub token", Some(r"oauth_token\s*:\s*\S")),
    (r"(?:^|/)\.vault-token$", "Vault token", None),
    (r"(?:^|/)credentials\.tfrc\.json$", "Terraform token", None),
    (r"(?:^|/)\.cargo/credentials(?:\.toml)?$|(?:^|/)\.gem/credentials$", "package registry token", Some(r"\S")),
    (r"(?:^|/)(?:\.s3cfg|\.boto|rclone\.conf)$", "storage credentials", Some(r"(?m)^\s*(?:secret_key|gs_secret_access_key|secret_access_key|aws_secret_access_key|pass|token|client_secret)\s*=\s*\S")),
    (r"(?:^|/)\.htpasswd$", "password hash", Some(r"(?m)^[^#\s:]+:\S")),
    (r"(?:^|/)admin\.token$", "token of a Bascule server", None),
    (r"(?:^|/)\.(?:ba|z|k|a)?sh_history$|(?:^|/)\.(?:python|mysql|psql|sqlite)_history$", "history of typed commands", None),
];

static PATHS: LazyLock<RegexSet> = LazyLock::new(|| {
    RegexSetBuilder::new(PLACES.iter().map(|(path, _, _)| path))
        .build()
        .expect("the patterns are constants, and a test builds them")
});
static CONTENTS: LazyLock<Vec<Option<Regex>>> = LazyLock::new(|| {
    let compile = |pattern: &str| {
        Regex::new(&format!("(?-u){pattern}")).expect("the patterns are constants, and a test builds them")
    };
    PLACES.iter().map(|(_, _, content)| content.map(compile)).collect()
});

/// What kind of secret the file at `path` is, and what says so.
pub(super) fn look(path: &str, bytes: &[u8]) -> Option<(&'static str, String)> {
    PATHS.matches(path).iter().find_map(|number| {
        let why = match &CONTENTS[number] {
            None => "by its path".to_owned(),
            Some(content) => format!("by its path and line {}", line(bytes, content.find(bytes)?.start())),
        };
        Some((PLACES[number].1, why))
    })
}

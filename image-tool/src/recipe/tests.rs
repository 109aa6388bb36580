use std::fs;

use image_format::manifest::Probe;

use super::*;

const BASE: &str = r#"
description = "a node"
packages = ["systemd", "udev"]
etc_state = ["machine-id"]
[kernel]
package = "linux-image-cloud-amd64"
drivers = ["virtio_net"]
cmdline = "console=ttyS0"
[disk]
slot_mib = 512
state_mib = 64
[[health.checks]]
name = "ssh"
timeout_s = 5
probe = { unit = "ssh.service" }
"#;

struct Images(tempfile::TempDir);

impl Images {
    fn new() -> Self {
        let images = Self(tempfile::tempdir().unwrap());
        images.role("base", BASE);
        images
    }

    fn role(&self, role: &str, text: &str) {
        let dir = self.0.path().join(role);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(RECIPE_FILE), text).unwrap();
    }

    fn load(&self, role: &str) -> Result<Recipe, RecipeError> {
        load(self.0.path(), &role.parse().unwrap())
    }

    /// What is wrong with `text` as a recipe, from the line number on.
    fn mistake(&self, text: &str) -> String {
        self.role("bad", text);
        let error = self.load("bad").unwrap_err().to_string();
        let start = format!("{}:", self.0.path().join("bad/recipe.toml").display());
        error.strip_prefix(&start).unwrap_or_else(|| panic!("no place in: {error}")).to_owned()
    }
}

#[test]
fn a_role_extends_another() {
    let images = Images::new();
    fs::create_dir(images.0.path().join("base/overlay")).unwrap();
    images.role(
        "ha",
        "extends = \"base\"\npackages = [\"corosync\", \"udev\"]\n[disk]\nslot_mib = 1024\n\
         [[health.checks]]\nname = \"ssh\"\ntimeout_s = 9\nprobe = { tcp = \"127.0.0.1:22\" }\n",
    );
    let recipe = images.load("ha").unwrap();
    assert_eq!(recipe.role.as_str(), "ha");
    assert_eq!(recipe.packages, ["corosync", "systemd", "udev"]);
    assert_eq!((recipe.disk.slot_mib, recipe.disk.state_mib), (1024, 64));
    assert_eq!(recipe.health.checks.len(), 1);
    assert_eq!(recipe.health.checks[0].probe, Probe::Tcp("127.0.0.1:22".into()));
    assert_eq!(recipe.overlays, [images.0.path().join("base/overlay")]);
    assert_eq!(recipe.debian.suite, "bookworm");
}

#[test]
fn mistakes_have_a_place_and_say_what_was_expected() {
    let images = Images::new();
    for (text, place, words) in [
        ("packages = []\npakages = []\n", "2:1: ", "unknown field `pakages`, expected one of"),
        ("[kernel]\nmodules = []\n", "2:1: ", "unknown field `modules`"),
        ("[health]\n[[health.checks]]\nname = \"a\"\n", "2:1: ", "missing field `timeout_s`"),
        ("packages = [\"a1\", \"Bad_Name\"]\n", "1:19: ", "expected a Debian package name"),
        ("[disk]\nslot_mib = 0\n", "2:12: ", "disk.slot_mib: expected 1 to 1048576, found 0"),
        ("[disk]\nslot_mib = -1\n", "2:12: ", "invalid value"),
        ("[kernel]\ncmdline = \"a;b\"\n", "2:11: ", "kernel.cmdline: expected"),
        ("etc_state = [\"../shadow\"]\n", "1:14: ", "etc_state: expected a path below /etc"),
        ("[root]\nremove = [\"usr\"]\n", "2:11: ", "expected an absolute path pattern"),
        ("[services]\nenable = [\"ssh\"]\n", "2:11: ", "expected a unit name with its suffix"),
        ("class = \n", "1:9: ", ""),
        ("[debian]\nmirror = \"ftp://x\"\n", "2:10: ", "expected a URL that begins with http:// or https://"),
    ] {
        let found = images.mistake(text);
        assert!(found.starts_with(place) && found.contains(words), "{text:?} gave {found:?}");
    }
}

#[test]
fn allowed_secrets_are_exact_and_have_a_reason() {
    let images = Images::new();
    for (text, words) in [
        (
            "[[allow-secret]]\npath = \"/etc/*.key\"\nreason = \"x\"\n",
            "expected the absolute path of one file",
        ),
        (
            "[[allow-secret]]\npath = \"etc/a.key\"\nreason = \"x\"\n",
            "expected the absolute path of one file",
        ),
        (
            "[[allow-secret]]\npath = \"/etc/../a.key\"\nreason = \"x\"\n",
            "expected the absolute path of one file",
        ),
        ("[[allow-secret]]\npath = \"/etc/a.key\"\nreason = \" \"\n", "expected a reason"),
        ("[[allow-secret]]\npath = \"/etc/a.key\"\n", "missing field `reason`"),
    ] {
        let found = images.mistake(text);
        assert!(found.contains(words), "{text:?} gave {found:?}");
    }
    let entry =
        |path: &str, reason: &str| format!("[[allow-secret]]\npath = {path:?}\nreason = {reason:?}\n");
    images.role("base", &format!("{BASE}{}{}", entry("/b", "base"), entry("/a", "base")));
    images.role("ha", &format!("extends = \"base\"\n{}", entry("/b", "ha")));
    let allowed = images.load("ha").unwrap().allow_secrets;
    let words: Vec<(&str, &str)> = allowed.iter().map(|a| (a.path.as_str(), a.reason.as_str())).collect();
    assert_eq!(words, [("/a", "base"), ("/b", "ha")]);
    assert!(allowed[1].place.ends_with("ha/recipe.toml:2:1"), "{}", allowed[1].place);
}

#[test]
fn unknown_roles_are_answered_with_the_known_ones() {
    let images = Images::new();
    images.role("ha", "");
    let error = images.load("web").unwrap_err().to_string();
    assert!(error.starts_with("role web: ") && error.ends_with("roles there: base, ha"), "{error}");
}

#[test]
fn circles_end() {
    let images = Images::new();
    images.role("a", "extends = \"b\"\n");
    images.role("b", "extends = \"a\"\n");
    assert!(matches!(images.load("a"), Err(RecipeError::Circle { .. })));
}

#[test]
fn what_no_recipe_says_is_named() {
    let images = Images::new();
    images.role("bare", "[kernel]\npackage = \"linux-image-amd64\"\n");
    let error = images.load("bare").unwrap_err().to_string();
    assert_eq!(error, "role bare: neither its recipe nor one that it extends has kernel.cmdline");
}

#[test]
fn globs_stay_within_one_name_unless_doubled() {
    let glob = |text: &str| Glob::try_from(text.to_owned()).unwrap();
    assert!(glob("/var/cache/*").matches("var/cache/apt"));
    assert!(!glob("/var/cache/*").matches("var/cache/apt/x"));
    assert!(glob("/var/cache/**/*.bin").matches("var/cache/apt/x.bin"));
    assert!(glob("/etc/*-").matches("etc/passwd-"));
}

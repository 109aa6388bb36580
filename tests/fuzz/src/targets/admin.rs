//! What `imgtool` reads: recipes, proposals from sticks, and what is inside packages.

use image_tool::fuzzing;

/// A recipe.
pub fn recipe(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match fuzzing::recipe(text) {
        Ok(read) => assert_eq!(fuzzing::recipe(text).as_ref(), Ok(&read)),
        // Every mistake has a place in the file, except what the whole lacks.
        Err(error) => {
            let lines = text.lines().count().max(1) + 1;
            let place = error
                .strip_prefix("recipe.toml:")
                .and_then(|rest| rest.split(':').next()?.parse::<usize>().ok());
            let whole = error.starts_with("role ") || error.starts_with("environment ");
            assert!(whole || place.is_some_and(|line| (1..=lines).contains(&line)), "{error}");
        }
    }
}

/// A proposal file: read, verified from the root that the tool trusts, and put into words.
pub fn proposal(bytes: &[u8]) {
    let root = super::trust::fixture().root();
    if let Ok(words) = fuzzing::proposal(bytes, root) {
        assert!(words.chars().all(|c| c == '\n' || !c.is_control()), "{words:?}");
    }
}

/// dpkg's status file and a package's copyright file.
pub fn packages(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let bill = fuzzing::packages(&text);
    for id in bill {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'-';
        assert!(id.bytes().all(allowed), "{id}");
    }
}

/// A file of the root tree: path, line feed, content.
pub fn secrets(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let path = String::from_utf8_lossy(&bytes[..end]);
    let content = bytes.get(end + 1..).unwrap_or_default();
    let found = fuzzing::secret(&path, content);
    // A whole key is found wherever it is, unless it was found to be something else before.
    let with_key = [content, b"\n", seeds::KEY.as_bytes()].concat();
    assert!(fuzzing::secret(&path, &with_key).is_some(), "{found:?}");
}

/// Valid inputs.
pub mod seeds {
    /// A made-up key.
    pub(super) const KEY: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIGFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFh\n-----END PRIVATE KEY-----\n";

    /// Everything that a recipe can say, and the least.
    pub fn recipe() -> Vec<Vec<u8>> {
        let full = "description = \"a node\"\nclass = \"generic\"\nepoch = 1700000000\npackages = [\"systemd\"]\n\
            etc_state = [\"ssh/keys\"]\n[debian]\nsuite = \"bookworm\"\nmirror = \"http://a/debian\"\ncomponents = [\"main\"]\n\
            [kernel]\npackage = \"linux-image-amd64\"\ndrivers = [\"virtio_net\"]\ncmdline = \"console=ttyS0\"\n\
            [services]\nenable = [\"ssh.service\"]\nmask = [\"a@b.timer\"]\n[root]\nremove = [\"/usr/share/doc/**/x?[a-z]\"]\nman = true\n\
            [disk]\nslot_mib = 64\nstate_mib = 0\n[health]\nattempts = 3\ndeadline_s = 60\n\
            [[health.checks]]\nname = \"ssh\"\ntimeout_s = 5\nprobe = { tcp = \"127.0.0.1:22\" }\n\
            [[allow-secret]]\npath = \"/etc/a.key\"\nreason = \"public\"\n";
        let least = "[kernel]\npackage = \"linux-image-amd64\"\ncmdline = \"\"\n[disk]\nslot_mib = 1\nstate_mib = 1\n";
        [full, least, "extends = \"base\"\n"].map(|text| text.as_bytes().to_vec()).into()
    }

    /// A whole one.
    pub fn proposal() -> Vec<Vec<u8>> {
        vec![super::super::trust::fixture().proposal()]
    }

    /// Packages and licences.
    pub fn packages() -> Vec<Vec<u8>> {
        [
            "Package: libc6\nStatus: install ok installed\nSource: glibc (2.36-9)\nArchitecture: amd64\nVersion: 1:2.36-9+b1\n\
             Pre-Depends: a\nDepends: libgcc-s1 (>= 3.5), mta | b:any (= 1) [amd64],\nProvides: libc (= 1), mta\n\
             Conffiles:\n /etc/x 0123\nDescription: text\n more\n\n\
             Package: b\nStatus: deinstall ok config-files\n",
            "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nCopyright: X\n\
             License: GPL-2+ and Expat or LGPL-2.1\n text\n\nFiles: a\nLicense: GFDL-NIV-1.3+ with x\n\nLicense: odd\n",
        ]
        .map(|text| text.as_bytes().to_vec())
        .into()
    }

    /// One of each way to be a secret.
    pub fn secrets() -> Vec<Vec<u8>> {
        [
            format!("opt/key\n{KEY}"),
            "etc/shadow\nroot:*:1:\nbob:$6$x$y:1:\n".to_owned(),
            "root/.netrc\nmachine a login b password c\n".to_owned(),
            "etc/app.json\n{\"k\": \"AKIAQ2W3E4R5T6Y7U2I3\", \"t\": \"glpat-abcdefghij0123456789\"}\n"
                .to_owned(),
            "usr/bin/x\n\u{7f}ELF\0\0 -----BEGIN RSA PRIVATE KEY-----".to_owned(),
        ]
        .map(String::into_bytes)
        .into()
    }
}

//! Network interfaces as sysfs shows them, and which one to use.

use std::fs;
use std::path::Path;

use super::Mac;

/// ARP hardware type of Ethernet, in `/sys/class/net/*/type`.
const ETHERNET: &str = "1";

/// An Ethernet interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nic {
    /// Kernel name, `eth0`.
    pub name: String,
    /// Its address.
    pub mac: Mac,
    /// Whether hardware is behind it.
    pub physical: bool,
    /// Whether it is up and has a link.
    pub carrier: bool,
}

/// Which interface to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// This one.
    Use(Nic),
    /// None yet; says why.
    Wait(String),
}

/// All Ethernet interfaces, by name.
pub fn list(sysfs: &Path) -> Vec<Nic> {
    let mut nics: Vec<Nic> = fs::read_dir(sysfs.join("class/net"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| read(&entry.path(), entry.file_name().to_str()?))
        .collect();
    nics.sort_by(|a, b| a.name.cmp(&b.name));
    nics
}

fn read(directory: &Path, name: &str) -> Option<Nic> {
    let text = |file: &str| fs::read_to_string(directory.join(file)).map(|text| text.trim().to_owned());
    let ethernet = text("type").is_ok_and(|kind| kind == ETHERNET);
    let mac = text("address").ok()?.parse().ok()?;
    let physical = directory.join("device").exists();
    // Reading `carrier` of an interface that is down is an error: no link.
    let carrier = text("carrier").is_ok_and(|state| state == "1");
    ethernet.then(|| Nic { name: name.to_owned(), mac, physical, carrier })
}

/// Chooses by address when one is wanted; else the only physical interface, else the first with a link.
pub fn choose(nics: &[Nic], wanted: Option<Mac>) -> Choice {
    let names = |nics: &[&Nic]| {
        nics.iter().map(|nic| format!("{} {}", nic.name, nic.mac)).collect::<Vec<_>>().join(", ")
    };
    let physical: Vec<&Nic> = nics.iter().filter(|nic| nic.physical).collect();
    if let Some(mac) = wanted {
        // A bond or a bridge over the interface repeats its address: hardware first.
        let found = physical.iter().copied().chain(nics).find(|nic| nic.mac == mac);
        return match found {
            Some(nic) => Choice::Use(nic.clone()),
            None => Choice::Wait(format!(
                "expected an interface with address {mac}, found [{}]",
                names(&physical)
            )),
        };
    }
    match physical.as_slice() {
        [] => Choice::Wait("expected a physical Ethernet interface, found none".to_owned()),
        [only] => Choice::Use((*only).clone()),
        several => match several.iter().find(|nic| nic.carrier) {
            Some(nic) => Choice::Use((*nic).clone()),
            None => {
                Choice::Wait(format!("none of [{}] has a link, and bascule.mac names none", names(&physical)))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nic(name: &str, last: u8, carrier: bool) -> Nic {
        Nic { name: name.to_owned(), mac: Mac([2, 0, 0, 0, 0, last]), physical: true, carrier }
    }

    #[test]
    fn the_wanted_address_decides() {
        let nics = [nic("eth0", 1, true), nic("eth1", 2, false)];
        assert_eq!(choose(&nics, Some(nics[1].mac)), Choice::Use(nics[1].clone()));
        let Choice::Wait(why) = choose(&nics, Some(Mac([2, 0, 0, 0, 0, 9]))) else {
            panic!("no such interface")
        };
        assert_eq!(
            why,
            "expected an interface with address 02-00-00-00-00-09, found [eth0 02-00-00-00-00-01, eth1 02-00-00-00-00-02]"
        );
    }

    #[test]
    fn without_a_wish_the_only_or_the_linked_one_is_used() {
        assert_eq!(choose(&[nic("eth0", 1, false)], None), Choice::Use(nic("eth0", 1, false)));
        let nics = [nic("eth0", 1, false), nic("eth1", 2, true)];
        assert_eq!(choose(&nics, None), Choice::Use(nics[1].clone()));
        assert!(matches!(choose(&[nic("eth0", 1, false), nic("eth1", 2, false)], None), Choice::Wait(_)));
        assert!(matches!(choose(&[], None), Choice::Wait(_)));
    }

    #[test]
    fn sysfs_is_read() {
        let root = tempfile::tempdir().unwrap();
        for (name, kind, mac, carrier) in [
            ("eth0", "1", "52:54:00:12:34:56", "1"),
            ("lo", "772", "00:00:00:00:00:00", "1"),
            ("br0", "1", "52:54:00:12:34:56", "0"),
        ] {
            let directory = root.path().join("class/net").join(name);
            fs::create_dir_all(&directory).unwrap();
            for (file, text) in [("type", kind), ("address", mac), ("carrier", carrier)] {
                fs::write(directory.join(file), format!("{text}\n")).unwrap();
            }
        }
        fs::create_dir(root.path().join("class/net/eth0/device")).unwrap();
        let nics = list(root.path());
        let seen: Vec<_> = nics.iter().map(|nic| (nic.name.as_str(), nic.physical, nic.carrier)).collect();
        assert_eq!(seen, [("br0", false, false), ("eth0", true, true)]);
        assert_eq!(choose(&nics, Some(nics[0].mac)), Choice::Use(nics[1].clone()));
    }
}

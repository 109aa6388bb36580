//! Loading: the explicit list, then rounds over all devices until a round finds nothing new.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::{Aliases, Catalog, LIST_MAX};

/// Most rounds over the devices in one go: a bus in a controller on a bus is three.
const ROUNDS_MAX: usize = 16;

/// What a call has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loaded {
    /// Modules that are new in the kernel.
    pub loaded: Vec<String>,
    /// Modules that the kernel refused, with its reason. Many are harmless: a driver that finds no device says `ENODEV`.
    pub refused: Vec<(String, String)>,
}

/// Loads modules and remembers which were tried.
pub struct Loader {
    directory: PathBuf,
    sysfs: PathBuf,
    catalog: Catalog,
    aliases: Aliases,
    tried: BTreeSet<String>,
    seen: BTreeSet<String>,
    insert: Insert,
}

/// Puts one module file into the kernel; another function in tests.
type Insert = fn(&Path) -> Result<(), Errno>;

impl Loader {
    /// Reads the lists of `/lib/modules/<release>`; missing lists are empty ones, since a kernel may have all built in.
    ///
    /// # Errors
    /// A list that cannot be read or is longer than [`LIST_MAX`].
    pub fn open(directory: &Path, sysfs: &Path) -> io::Result<Self> {
        Self::with(directory, sysfs, insert)
    }

    fn with(directory: &Path, sysfs: &Path, insert: Insert) -> io::Result<Self> {
        Ok(Self {
            directory: directory.to_owned(),
            sysfs: sysfs.to_owned(),
            catalog: Catalog::parse(&read_list(&directory.join("modules.dep"))?),
            aliases: Aliases::parse(&read_list(&directory.join("modules.alias"))?),
            tried: BTreeSet::new(),
            seen: BTreeSet::new(),
            insert,
        })
    }

    /// Loads what `modules.load` names.
    ///
    /// # Errors
    /// The list cannot be read.
    pub fn load_listed(&mut self) -> io::Result<Loaded> {
        let list = read_list(&self.directory.join("modules.load"))?;
        let mut done = Loaded::default();
        for name in list.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if self.catalog.load_order(name).is_empty() && self.tried.insert(name.to_owned()) {
                done.refused.push((name.to_owned(), "not in modules.dep".to_owned()));
            }
            self.load(name, &mut done);
        }
        Ok(done)
    }

    /// Loads what the devices ask for, also devices that appear because of that. Cheap when nothing changed, so that it can
    /// be called again while waiting for slow hardware.
    pub fn load_for_devices(&mut self) -> Loaded {
        let mut done = Loaded::default();
        for _ in 0..ROUNDS_MAX {
            let new: Vec<String> =
                modaliases(&self.sysfs).into_iter().filter(|text| !self.seen.contains(text)).collect();
            if new.is_empty() {
                break;
            }
            for modalias in new {
                let names: Vec<String> = self.aliases.modules_for(&modalias).map(str::to_owned).collect();
                for name in names {
                    self.load(&name, &mut done);
                }
                self.seen.insert(modalias);
            }
        }
        done
    }

    fn load(&mut self, name: &str, done: &mut Loaded) {
        for (name, file) in self.catalog.load_order(name) {
            if !self.tried.insert(name.to_owned()) {
                continue;
            }
            match (self.insert)(&self.directory.join(file)) {
                Ok(()) => done.loaded.push(name.to_owned()),
                Err(Errno::EXIST) => {}
                Err(error) => done.refused.push((name.to_owned(), error.to_string())),
            }
        }
    }
}

fn insert(file: &Path) -> Result<(), Errno> {
    let file = File::open(file).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    rustix::system::finit_module(&file, c"", 0)
}

fn read_list(path: &Path) -> io::Result<String> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    file.take(LIST_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > LIST_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("longer than {LIST_MAX} bytes")));
    }
    Ok(text)
}

/// What all devices on all buses call themselves.
fn modaliases(sysfs: &Path) -> BTreeSet<String> {
    let directories =
        |path: PathBuf| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found = BTreeSet::new();
    for bus in directories(sysfs.join("bus")) {
        for device in directories(bus.join("devices")) {
            // Devices come and go while this runs; one that cannot be read asks for nothing.
            if let Ok(text) = fs::read_to_string(device.join("modalias")) {
                found.insert(text.trim_end().to_owned());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Loading the controller's driver makes its child appear, as in a kernel.
    fn pretend(file: &Path) -> Result<(), Errno> {
        let root = file.ancestors().nth(2).unwrap();
        match file.file_stem().unwrap().to_str().unwrap() {
            "virtio_pci" => {
                put(root, "sys/bus/virtio/devices/virtio0/modalias", "virtio:d00000001v00001AF4\n");
            }
            "absent" => return Err(Errno::NODEV),
            "builtin" => return Err(Errno::EXIST),
            _ => {}
        }
        Ok(())
    }

    #[test]
    fn listed_modules_and_devices_behind_devices_are_loaded_once() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        put(
            root,
            "m/modules.dep",
            "virtio_pci.ko: virtio.ko\nvirtio.ko:\nvirtio_net.ko: virtio.ko\nabsent.ko:\nbuiltin.ko:\n",
        );
        put(
            root,
            "m/modules.alias",
            "alias pci:v00001AF4* virtio_pci\nalias virtio:d00000001v* virtio_net\n",
        );
        put(root, "m/modules.load", "# explicit\nabsent\nbuiltin\nunknown\n");
        put(root, "sys/bus/pci/devices/0000:00:01.0/modalias", "pci:v00001AF4d00001000\n");

        let mut loader = Loader::with(&root.join("m"), &root.join("sys"), pretend).unwrap();
        let listed = loader.load_listed().unwrap();
        assert_eq!(listed.loaded, Vec::<String>::new());
        let refused: Vec<_> = listed.refused.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(refused, ["absent", "unknown"]);
        assert_eq!(loader.load_for_devices().loaded, ["virtio", "virtio_pci", "virtio_net"]);
        assert_eq!(loader.load_for_devices(), Loaded::default());
    }

    #[test]
    fn a_kernel_without_modules_is_fine() {
        let root = tempfile::tempdir().unwrap();
        let mut loader = Loader::with(root.path(), root.path(), pretend).unwrap();
        assert_eq!(loader.load_listed().unwrap(), Loaded::default());
        assert_eq!(loader.load_for_devices(), Loaded::default());
    }
}

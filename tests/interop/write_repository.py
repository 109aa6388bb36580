"""python-tuf writes a repository; our client reads it.

    write_repository.py CLIENT DIRECTORY

CLIENT is the path of `tuf-client`. Keys are Ed25519, snapshots consistent, two roles are delegated. The repository is served from
this process on the loopback. Prints one line for each thing that was shown; the first that was not ends it with exit code 1.
"""

import subprocess
import sys
import threading
from datetime import datetime, timedelta, timezone
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

EXPIRES = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=2)
TOP_LEVEL = ("root", "targets", "snapshot", "timestamp")
ROLES = {"releases": ["images/*"], "pins": ["pins/*"]}
IMAGE = "images/ha@1.json"
# Signed in every role: strings, orders and numbers in which two canonical forms could differ.
ODD = {
    "é\n\t\"\\/\u2028\u007f": ["\u0000\u001f", "\U0001f600", True, False, None, -1, 0, 2**53 + 1, 2**63 - 1],
    "\U0001f600": {},
    "\ufb33": {"": [], "b": 1, "a": 2, "B": 3},
}


class Repository:
    def __init__(self, directory):
        self.directory = directory
        self.signers = {role: [CryptoSigner.generate_ed25519()] for role in (*TOP_LEVEL, *ROLES)}
        self.roles = {
            "root": Metadata(Root(expires=EXPIRES, consistent_snapshot=True)),
            "targets": Metadata(Targets(expires=EXPIRES)),
            "snapshot": Metadata(Snapshot(expires=EXPIRES)),
            "timestamp": Metadata(Timestamp(expires=EXPIRES)),
            **{role: Metadata(Targets(expires=EXPIRES)) for role in ROLES},
        }
        for metadata in self.roles.values():
            metadata.signed.unrecognized_fields["x-odd"] = ODD
        for role in TOP_LEVEL:
            self.signed("root").add_key(self.signers[role][0].public_key, role)
        self.signed("targets").delegations = Delegations({}, roles={})
        for role, paths in ROLES.items():
            delegated = DelegatedRole(role, [], 1, terminating=True, paths=paths)
            self.signed("targets").delegations.roles[role] = delegated
            self.signed("targets").add_key(self.signers[role][0].public_key, role)

    def signed(self, role):
        return self.roles[role].signed

    def target(self, role, path, content):
        target = TargetFile.from_data(path, content, ["sha256"])
        self.signed(role).targets[path] = target
        parent, _, name = path.rpartition("/")
        file = self.directory / "targets" / parent / f"{target.hashes['sha256']}.{name}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return file

    def write(self, role):
        metadata = self.roles[role]
        metadata.signatures.clear()
        for signer in self.signers[role]:
            metadata.sign(signer, append=True)
        name = f"{role}.json" if role == "timestamp" else f"{metadata.signed.version}.{role}.json"
        file = self.directory / "metadata" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(metadata.to_bytes())
        return file

    def publish(self, *changed):
        """Signs the roles anew, and lists them: version, length and hash."""
        for role in changed:
            content = self.write(role).read_bytes()
            if role != "root":
                listed = MetaFile.from_data(self.signed(role).version, content, ["sha256"])
                self.signed("snapshot").meta[f"{role}.json"] = listed
        content = self.write("snapshot").read_bytes()
        listed = MetaFile.from_data(self.signed("snapshot").version, content, ["sha256"])
        self.signed("timestamp").snapshot_meta = listed
        return self.write("timestamp")

    def bump(self, *roles):
        for role in roles:
            self.signed(role).version += 1

    def rotate_root(self):
        """A new root key, and a new timestamp key; signed by the old and the new root key."""
        for role in ("root", "timestamp"):
            old, new = self.signers[role][0], CryptoSigner.generate_ed25519()
            self.signed("root").revoke_key(old.public_key.keyid, role)
            self.signed("root").add_key(new.public_key, role)
            self.signers[role] = [old, new] if role == "root" else [new]
        self.bump("root", "snapshot", "timestamp")


class Client:
    def __init__(self, program, directory, url):
        self.program, self.directory, self.url = program, directory, url
        self.metadata = directory / "trusted"

    def run(self, *arguments):
        command = [self.program, "--metadata-dir", self.metadata, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)

    def download(self, *paths):
        names = [word for path in paths for word in ("--target-name", path)]
        directory = self.directory / "downloaded"
        directory.mkdir(exist_ok=True)
        return self.run(
            *("--metadata-url", f"{self.url}/metadata", "--target-base-url", f"{self.url}/targets"),
            *("--target-dir", directory, *names, "download"),
        )

    def version(self, role):
        return Metadata.from_file(str(self.metadata / f"{role}.json")).signed.version


def shown(what, result, *message):
    """An accepted run, or a refused one whose text has all parts of `message`."""
    wrong = result.returncode != (1 if message else 0)
    if wrong or any(part not in result.stderr for part in message):
        sys.exit(f"{what}: exit code {result.returncode}, expected {message or 'success'}\n{result.stderr}")
    print(what)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def main(program, directory):
    directory = Path(directory)
    repository = Repository(directory / "repository")
    image = repository.target("releases", IMAGE, b'{"name":"ha@1"}')
    repository.target("pins", "pins/lab.json", b'{"group":"lab"}')
    repository.publish("root", "targets", "releases", "pins")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=repository.directory))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = Client(program, directory, f"http://127.0.0.1:{server.server_port}")

    root = repository.directory / "metadata" / "1.root.json"
    shown("its first root is the root of trust", client.run("init", root))
    shown("both delegated roles are followed", client.download(IMAGE, "pins/lab.json"))
    shown("a path that no role may name", client.download("floor"), 'target "floor" not found')

    repository.rotate_root()
    repository.bump("releases")
    repository.target("releases", "images/ha@2.json", b'{"name":"ha@2"}')
    repository.publish("root", "releases")
    shown("its root rotation is followed", client.download("images/ha@2.json"))
    found = {role: client.version(role) for role in ("root", "timestamp", "snapshot", "releases", "pins")}
    if found != {"root": 2, "timestamp": 2, "snapshot": 2, "releases": 2, "pins": 1}:
        sys.exit(f"after the rotation: {found}")

    whole = image.read_bytes()
    image.write_bytes(whole.replace(b"1", b"3"))
    (directory / "downloaded").rename(directory / "earlier")
    shown("a changed target is refused", client.download(IMAGE), "are not the signed target")
    image.write_bytes(whole)
    shown("and is taken when it is whole again", client.download(IMAGE))

    repository.bump("pins", "snapshot", "timestamp")
    repository.publish("pins")
    pins = repository.directory / "metadata" / "2.pins.json"
    whole = pins.read_bytes()
    pins.write_bytes(whole.replace(b"lab", b"lob"))
    shown("changed metadata is refused", client.download("pins/lab.json"), "pins metadata has sha256", "mix-and-match")
    pins.write_bytes(whole)
    shown("and is taken when it is whole again", client.download("pins/lab.json"))

    repository.signers["timestamp"] = [CryptoSigner.generate_ed25519()]
    repository.bump("timestamp")
    repository.write("timestamp")
    refused = ("timestamp metadata has 0 of 1 needed signatures", "arbitrary software")
    shown("a timestamp of a foreign key is refused", client.download(IMAGE), *refused)


main(*sys.argv[1:])

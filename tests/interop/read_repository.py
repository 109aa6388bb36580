"""python-tuf's client reads a repository.

    read_repository.py METADATA_URL TARGETS_URL DIRECTORY ROOT.json [TARGET_PATH]...

DIRECTORY keeps metadata and targets between calls. Prints one line of JSON: versions by role and SHA-256 by target. A refusal
is exit code 3 and the exception's name.
"""

import hashlib
import json
import sys
from pathlib import Path

from tuf.api.exceptions import DownloadError, RepositoryError
from tuf.ngclient import Updater


def main(metadata_url, targets_url, directory, root, *paths):
    metadata, targets = Path(directory, "metadata"), Path(directory, "targets")
    for path in (metadata, targets):
        path.mkdir(parents=True, exist_ok=True)
    updater = Updater(
        str(metadata),
        metadata_url,
        str(targets),
        targets_url,
        bootstrap=Path(root).read_bytes(),
    )
    updater.refresh()
    digests = {}
    for path in paths:
        info = updater.get_targetinfo(path)
        if info is None:
            sys.exit(f"{path}: not found")
        digests[path] = hashlib.sha256(
            Path(updater.download_target(info)).read_bytes()
        ).hexdigest()
    versions = {}
    for file in metadata.glob("*.json"):
        versions[file.stem] = json.loads(file.read_bytes())["signed"]["version"]
    print(json.dumps({"versions": versions, "targets": digests}))


try:
    main(*sys.argv[1:])
except (DownloadError, RepositoryError) as error:
    print(type(error).__name__, error, file=sys.stderr)
    sys.exit(3)

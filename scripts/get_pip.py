"""Installs pip where there is none: neither ensurepip nor another pip. Standard library only.

The newest pip wheel is looked up in the package index by the "simple" protocol, checked against the SHA-256 that the
index gives, and told to install itself. Index, certificates and extra indexes are read as pip reads them: PIP_*
variables before pip.conf.
"""

from __future__ import annotations

import base64
import configparser
import hashlib
import html.parser
import os
import re
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

WHEEL = re.compile(r"pip-(\d+(?:\.\d+)*)-py3-none-any\.whl")


def setting(name: str) -> str:
    """pip's setting of that name: PIP_NAME, else the last configuration file that has it, else ""."""
    variable = os.environ.get("PIP_" + name.upper().replace("-", "_"))
    if variable:
        return variable
    home = Path.home()
    files = [
        Path("/etc/xdg/pip/pip.conf"),
        Path("/etc/pip.conf"),
        home / ".pip/pip.conf",
        home / ".config/pip/pip.conf",
    ]
    named = os.environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:  # pip's way to say: none at all
        return ""
    files += [Path(named)] if named else []
    parser = configparser.RawConfigParser()
    parser.read(files)
    for section in ("install", "global"):
        if parser.has_option(section, name):
            return parser.get(section, name)
    return ""


class Links(html.parser.HTMLParser):
    """Every link of an index page that is not yanked: (address, requires-python)."""

    def __init__(self, page: str, text: str) -> None:
        super().__init__()
        self.page = page
        self.found: list[tuple[str, str]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if tag == "a" and values.get("href") and "data-yanked" not in values:
            address = urllib.parse.urljoin(self.page, values["href"] or "")
            self.found.append((address, values.get("data-requires-python") or ""))


def fetch(address: str) -> bytes:
    """The body; a user and password in the address are sent as basic authentication."""
    parts = urllib.parse.urlsplit(address)
    headers = {"Accept": "text/html", "User-Agent": "get-pip"}
    if parts.username:
        secret = urllib.parse.unquote(f"{parts.username}:{parts.password or ''}")
        headers["Authorization"] = "Basic " + base64.b64encode(secret.encode()).decode()
        parts = parts._replace(netloc=parts.netloc.rpartition("@")[2])
    if parts.scheme not in ("https", "file"):
        raise urllib.error.URLError(f"{parts.scheme} is not safe to install from")
    certificates = setting("cert") or None
    context = ssl.create_default_context(cafile=certificates) if parts.scheme == "https" else None
    request = urllib.request.Request(urllib.parse.urlunsplit(parts._replace(fragment="")), headers=headers)  # noqa: S310
    with urllib.request.urlopen(request, timeout=float(setting("timeout") or 60), context=context) as response:  # noqa: S310
        return bytes(response.read())


def runs_here(requires: str) -> bool:
    """pip's own wheels ask for nothing but a lowest Python."""
    lowest = re.fullmatch(r">=(\d+)\.(\d+)", requires.strip())
    return lowest is None or sys.version_info[:2] >= (int(lowest[1]), int(lowest[2]))


def wheels(index: str) -> list[tuple[tuple[int, ...], str]]:
    """pip's wheels for this Python in an index: (version, address with the hash). Empty if it has none."""
    page = index.rstrip("/") + ("/pip/index.html" if index.startswith("file:") else "/pip/")
    try:
        text = fetch(page).decode()
    except (OSError, urllib.error.URLError) as error:
        host = urllib.parse.urlsplit(page).hostname or page
        sys.stderr.write(f"package index {host} did not answer: {error}\n")
        return []
    found = []
    for address, requires in Links(page, text).found:
        name = urllib.parse.urlsplit(address).path.rpartition("/")[2]
        match = WHEEL.fullmatch(name)
        if match and runs_here(requires):
            found.append((tuple(map(int, match[1].split("."))), address))
    return found


def main() -> int:
    indexes = [*setting("index-url").split(), *setting("extra-index-url").split()]
    found = [wheel for index in indexes for wheel in wheels(index)]
    if not found:
        why = "no package index has a pip for this Python" if indexes else "no package index is set"
        sys.stderr.write(f"get_pip: {why}: apt-get install python3-venv, or set PIP_INDEX_URL\n")
        return 69
    _, address = max(found)
    parts = urllib.parse.urlsplit(address)
    algorithm, _, digest = parts.fragment.partition("=")
    body = fetch(address)
    if algorithm != "sha256" or hashlib.sha256(body).hexdigest() != digest:
        sys.stderr.write(f"get_pip: {parts.path.rpartition('/')[2]} does not have the SHA-256 that the index gives\n")
        return 69
    with tempfile.TemporaryDirectory() as folder:
        wheel = Path(folder, parts.path.rpartition("/")[2])
        wheel.write_bytes(body)
        return subprocess.run([sys.executable, f"{wheel}/pip", "install", "--quiet", wheel], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())

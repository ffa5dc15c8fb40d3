"""Emulator, one HTTP request as the rest of it sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote


@dataclass(slots=True)
class Call:
    """A request.

    Args:
        target: as it stands in the request line. headers: names in lower case. arrived: monotonic seconds.
    """

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""
    arrived: float = 0.0
    path: str = field(init=False)
    params: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        self.path, _, query = self.target.partition("?")
        self.params = dict(parse_qsl(query, keep_blank_values=True)) if query else {}

    @property
    def segments(self) -> list[str]:
        """The parts of the path, decoded one by one, so that an encoded slash divides nothing."""
        return [unquote(part) for part in self.path.split("/")[1:]]

    @property
    def form(self) -> dict[str, str]:
        """The body as a form."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    @property
    def pretty(self) -> bool:
        """Bodies are indented unless the client says otherwise."""
        return self.params.get("prettyPrint", "true").lower() not in ("false", "0")

    @property
    def takes_gzip(self) -> bool:
        """Whether the answer may be compressed."""
        return "gzip" in self.headers.get("accept-encoding", "").lower()

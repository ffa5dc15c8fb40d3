"""The reporter's messages to the outside: alerts to a webhook, heartbeats to a URL, sent one by one from a thread.

Neither a slow name server nor a webhook that hangs holds the reporter up. The URLs are secrets: no error repeats them.
"""

from __future__ import annotations

import http.client
import json
import queue
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gsc_daemon import __version__

TIMEOUT: Final = 5.0  # seconds for each step of one message


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be sent. text: for a webhook; None only asks the URL (a heartbeat). key: names it to the sender."""

    key: str
    url_file: Path
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message. trouble: why it did not arrive, or ""."""

    message: Message
    trouble: str


class Outgoing:
    """A queue and its thread, which starts with the first message."""

    def __init__(self) -> None:
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._outcomes: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        self._under_way: set[str] = set()
        self._thread: threading.Thread | None = None

    def send(self, message: Message) -> None:
        """Send it soon, unless one of the same key is still under way."""
        if message.key in self._under_way:
            return
        self._under_way.add(message.key)
        self._messages.put(message)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="outgoing", daemon=True)
            self._thread.start()

    def outcomes(self) -> list[Outcome]:
        """What has been sent or has failed since the last call; never waits."""
        done = []
        while not self._outcomes.empty():
            outcome = self._outcomes.get()
            self._under_way.discard(outcome.message.key)
            done.append(outcome)
        return done

    def _run(self) -> None:
        while True:
            message = self._messages.get()
            self._outcomes.put(Outcome(message, deliver(message)))


def deliver(message: Message) -> str:
    """Send now; gives why it failed, or ""."""
    try:
        url = message.url_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        return f"{message.url_file} cannot be read: {why}"
    if not url.startswith(("https://", "http://")):
        return f"{message.url_file} holds no https:// address"
    data = None if message.text is None else json.dumps({"text": message.text}).encode()
    headers = {"User-Agent": f"gscd/{__version__}", "Content-Type": "application/json"}
    try:
        with urllib.request.urlopen(  # noqa: S310 - http and https only, see above
            urllib.request.Request(url, data=data, headers=headers),  # noqa: S310
            timeout=TIMEOUT,
        ) as response:
            response.read(1024)
    except urllib.error.HTTPError as error:
        with error:
            return f"the server of {message.url_file} answered {error.code}"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"the server of {message.url_file} cannot be reached: {_why(error)}"
    return ""


def _why(error: Exception) -> str:
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, OSError):
        return reason.strerror or type(reason).__name__
    return type(reason).__name__  # the words of others may repeat the address

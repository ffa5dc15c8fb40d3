"""Made after the fork, in several processes at once; and leaving, which waits for nobody."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from scripted_google import ScriptedGoogle, hang, reply, rows

PROGRAM = str(Path(__file__).with_name("source_processes.py"))


def test_each_process_fetches_for_itself(google: ScriptedGoogle, key_file: Path) -> None:
    google.answer = lambda asked: reply(200, rows(["a", "b"]))
    subprocess.run([sys.executable, PROGRAM, "fork", str(key_file), google.url], check=True, timeout=60)
    assert len(google.asked) == 15
    assert len(google.token_calls) == 3


def test_leaving_waits_for_no_answer(google: ScriptedGoogle, key_file: Path) -> None:
    google.answer = lambda asked: hang
    argv = [sys.executable, PROGRAM, "leave", str(key_file), google.url]
    with subprocess.Popen(argv, stdin=subprocess.PIPE) as child:
        google.wait_for(lambda: len(google.asked) == 1)
        child.communicate(b"leave\n", timeout=60)
        assert child.returncode == 0

"""`gscd demo` as a person runs it: every row is right, the exit code says so, and nothing of it stays."""

from __future__ import annotations

import json
import signal
import subprocess
import time

import pytest
from demo_temp import DemoTemp


def test_a_small_one_is_clean_and_leaves_nothing(temp: DemoTemp) -> None:
    with temp.gscd("demo", "--days", "5", "--rows", "2000", "--json") as process:
        out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    assert "gscd sync range --from " in err
    told = json.loads(out)
    assert told["clean"] is True
    assert (told["days"], told["rows"], told["slice_days"]) == (5, 10_000, 5)
    assert (told["missing"], told["double"], told["altered"], told["differences"]) == (0, 0, 0, 0)
    # query_page and totals of each day, what is final (each worker may ask), and no other
    assert told["requests"] == told["most_qpm"]
    assert 10 < told["requests"] <= 13
    assert 50_000_000 < told["memory"] < 500_000_000
    assert told["times_faster"] > 0
    assert temp.left() == []


def begun(temp: DemoTemp, process: subprocess.Popen[str]) -> None:
    """Wait until the daemon is complete: supervisor, coordinator, reporter and three workers."""
    deadline = time.monotonic() + 60
    while temp.of_the_daemon() < 6:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_interrupted_in_the_middle_it_leaves_nothing(temp: DemoTemp, number: signal.Signals, code: int) -> None:
    with temp.gscd("demo", "--days", "60", "--rows", "5000") as process:
        begun(temp, process)
        family = temp.processes()
        assert len(family) > 8  # the demo, its emulator, the daemon and its children, the servers and their guards
        assert temp.entries() != []
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        assert process.returncode == code
        assert "Traceback" not in err
        assert temp.left() == []


def test_the_coordinator_drill(temp: DemoTemp) -> None:
    with temp.gscd("drill", "coordinator", "--json") as process:
        out, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    told = json.loads(out)
    assert told["good"] is True
    assert told["figures"]["rows at the end"] == "30,000; missing 0, double 0, altered 0, differences 0"
    assert temp.left() == []

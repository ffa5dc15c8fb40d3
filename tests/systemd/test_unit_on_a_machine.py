"""The installed unit on a machine with a real systemd: it starts, works, reloads, halts, drains and is looked after.

The tests build on one another and so run in the order in which they stand: the machine is what the last one left.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from systemd_machine import CHECKOUT, Machine, booted, reason_not_to

INSTALL = "/opt/checkout/scripts/install"
SITE = "sc-domain:example.com"
SETTINGS = f"""\
[api]
endpoint = "http://127.0.0.1:8080"
credentials = "%d/service-account.json"
[rate_limit]
storage_file = "%d/redis"
[sink]
dsn = "postgresql:///gsc"
[sync]
sites = ["{SITE}"]
every = ""
[telemetry]
listen = "127.0.0.1:9464"
log_level = "info"
[workers]
max_concurrency = 2
"""
EMULATOR = f"""\
[Service]
ExecStart=/usr/local/bin/gscd emulator --site {SITE} --rows 300 --write /etc/emulator
Restart=always
[Install]
WantedBy=multi-user.target
"""


def put(machine: Machine, path: str, text: str, mode: str = "0640") -> None:
    machine.run("install", "-o", "root", "-g", "gscd", "-m", mode, "/dev/stdin", path, input=text)


def pids(machine: Machine) -> set[int]:
    return {int(pid) for pid in machine.run("pgrep", "--uid", "gscd").split()}


def sql(machine: Machine, question: str) -> str:
    """As the daemon's user, who is also the role. (`runuser` tells the journal, and waits for one that hangs.)"""
    user = ("setpriv", "--reuid=gscd", "--regid=gscd", "--init-groups")
    return machine.run(*user, "psql", "-d", "gsc", "-XAtc", question)


def is_still(machine: Machine) -> bool:
    """Whether nobody comes or goes."""
    before = pids(machine)
    time.sleep(2.0)  # a reload replaces one after another
    return pids(machine) == before


def sync(machine: Machine, first: str, last: str, *more: str) -> None:
    machine.run("gscd", "sync", "range", "--from", first, "--to", last, *more)


def published(machine: Machine, first: str, last: str) -> int:
    """Days of the main report."""
    days = f"report = 'query_page' AND date BETWEEN '{first}' AND '{last}'"
    return int(sql(machine, f"SELECT count(*) FROM gsc.days WHERE {days}"))


def is_unlimited(machine: Machine) -> bool:
    """Whether the kernel lets a unit have more memory than it may."""
    greedy = ("/opt/gscd/venv/bin/python", "-c", "bytearray(256 * 1024 * 1024)")
    limits = ("--property=MemoryMax=48M", "--property=MemorySwapMax=0", "--setenv=LD_LIBRARY_PATH=/opt/python/lib")
    return machine.ended("systemd-run", "--quiet", "--wait", *limits, *greedy).returncode == 0


class UnitMemory:
    """What the kernel allows the unit, in either kind of cgroups; see the kernel's cgroup-v1 and -v2 pages."""

    KINDS = (
        ("/sys/fs/cgroup", "memory.max", "memory.current", "memory.events"),
        ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "memory.oom_control"),
    )

    def __init__(self, machine: Machine) -> None:
        self.machine, group = machine, machine.show("ControlGroup")
        for home, *files in self.KINDS:
            self.limit, self.usage, self.events = (f"{home}{group}/{file}" for file in files)
            if machine.ended("test", "-e", self.limit).returncode == 0:
                self.before = machine.run("cat", self.limit)
                return
        pytest.skip("the kernel counts no memory for this machine's units")

    def squeeze(self, victim: int) -> None:
        """Tighten for some seconds to what is used once the kernel has taken back what it can, or until that one dies.

        Version 2 kills for that, version 1 when more is wanted. The limit is as before when this returns.
        """
        lives = f"grep -q VmRSS /proc/{victim}/status"
        less = f"used=$(cat {self.usage}); echo $((used - 524288)) >{self.limit} || echo $used >{self.limit}"
        tighten = f"n=0; while [ $n -lt 300 ] && {lives}; do {less}; n=$((n + 1)); sleep 0.01; done"
        self.machine.ended("sh", "-c", f"{tighten}; echo {self.before} >{self.limit}")

    def kills(self) -> int:
        counts = dict(line.split() for line in self.machine.run("cat", self.events).splitlines())
        return int(counts["oom_kill"])


def worker_of(machine: Machine) -> int:
    """The pid of one worker."""
    return int(json.loads(machine.ended("gscd", "status", "--json").stdout)["workers"][0]["pid"])


def restarts(machine: Machine) -> int:
    return int(machine.show("NRestarts"))


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    """It is up; nothing is installed."""
    with booted() as up:
        yield up


@pytest.fixture(scope="module")
def installed(machine: Machine) -> Machine:
    """With an emulator for Google, and settings for it; Redis and Postgres are Debian's."""
    machine.run(INSTALL)
    for service in ("redis-server", "postgresql"):
        if machine.ended("systemctl", "start", service).returncode != 0:
            pytest.skip(f"{service} is not installed on this machine")
    put(machine, "/etc/systemd/system/emulator.service", EMULATOR)
    put(machine, "/etc/gscd/gscd.toml", SETTINGS)
    # What takes seconds in the shipped unit, so that nobody is in a hurry, does not here.
    machine.run("mkdir", "-p", "/etc/systemd/system/gscd.service.d")
    put(machine, "/etc/systemd/system/gscd.service.d/quick.conf", "[Service]\nRestartSec=100ms\nWatchdogSec=2\n")
    machine.run("systemctl", "daemon-reload")
    machine.run("systemctl", "enable", "--now", "emulator")
    key = "/etc/emulator/service-account.json"
    machine.wait_until("the emulator serves", lambda: machine.ended("test", "-s", key).returncode == 0)
    # Only root may read these: systemd hands them on.
    machine.run("install", "-m", "0600", key, "/etc/gscd/service-account.json")
    machine.run("install", "-m", "0600", "/dev/stdin", "/etc/gscd/redis", input="redis://127.0.0.1:6379/0\n")
    return machine


def test_install_makes_account_folders_settings_unit_and_database(machine: Machine) -> None:
    said = machine.run(INSTALL)
    assert "gscd doctor" in said
    stat = ("stat", "--format=%U:%G %a")
    assert machine.run(*stat, "/etc/gscd") == "root:gscd 750"
    assert machine.run(*stat, "/etc/gscd/gscd.toml") == "root:gscd 640"
    assert machine.run(*stat, "/var/lib/gscd") == "gscd:gscd 750"
    assert machine.run("gscd", "--version").startswith("gscd ")
    assert machine.show("LoadState") == "loaded"
    if machine.ended("systemctl", "is-active", "postgresql").returncode == 0:
        assert sql(machine, "SELECT current_user, current_database()") == "gscd|gsc"


def test_install_again_changes_nothing_of_ours(machine: Machine) -> None:
    machine.run(INSTALL)
    put(machine, "/etc/gscd/gscd.toml", "# mine\n")
    before = machine.run("sh", "-c", "id gscd; stat --format='%n %U:%G %a' /etc/gscd /etc/gscd/* /var/lib/gscd")
    machine.run(INSTALL)
    assert machine.run("cat", "/etc/gscd/gscd.toml") == "# mine"
    assert machine.run("sh", "-c", "id gscd; stat --format='%n %U:%G %a' /etc/gscd /etc/gscd/* /var/lib/gscd") == before


def test_it_starts_without_the_optional_credentials_and_says_when_it_is_ready(installed: Machine) -> None:
    installed.run("systemctl", "start", "gscd")
    assert (installed.show("ActiveState"), installed.show("SubState")) == ("active", "running")
    assert installed.show("StatusText") == "running"
    assert len(pids(installed)) == 5  # supervisor, coordinator, reporter, two workers
    assert restarts(installed) == 0


def test_it_publishes_through_the_hardened_unit(installed: Machine) -> None:
    installed.run("gscd", "sync", "range", "--from", "2026-06-01", "--to", "2026-06-03")
    days = "SELECT count(*) FROM gsc.days WHERE report = 'query_page'"
    installed.wait_until("three days are published", lambda: sql(installed, days) == "3")
    rows = sql(installed, "SELECT count(*) FROM gsc.search_analytics")
    assert rows == sql(installed, "SELECT sum(row_count) FROM gsc.days WHERE report = 'query_page'")
    assert int(rows) > 0
    assert "PermissionError" not in installed.journal()


def test_the_commands_of_the_operator_work_beside_it(installed: Machine) -> None:
    assert installed.run("gscd", "doctor").startswith("All is well")
    assert installed.run("gscd", "reconcile").startswith("Clean")
    figures = {
        check["name"]: check for check in json.loads(installed.ended("gscd", "rollout", "--json").stdout)["checks"]
    }
    assert "MB" in figures["memory"]["figure"]
    assert installed.ended("runuser", "-u", "nobody", "--", "gscd", "status").returncode == 77


def test_the_weekly_reconciliation_runs_and_is_planned(installed: Machine) -> None:
    installed.run("systemctl", "start", "gscd-reconcile.service")  # it waits for the end, and fails if that is not 0
    assert "Clean" in installed.run("journalctl", "--unit=gscd-reconcile", "--output=cat")
    installed.run("systemctl", "enable", "--now", "gscd-reconcile.timer")
    assert "gscd-reconcile.timer" in installed.run("systemctl", "list-timers", "--no-pager")


def test_the_journal_can_be_searched_by_its_fields(installed: Machine) -> None:
    found = installed.run("journalctl", "--unit=gscd", "--output=json", "EVENT=day.published")
    assert {json.loads(line)["SITE"] for line in found.splitlines()} == {SITE}


def test_the_journal_tells_what_one_worker_said(installed: Machine) -> None:
    found = installed.run("journalctl", "--unit=gscd", "--output=json", "EVENT=day.published")
    workers = {json.loads(line)["WORKER_ID"] for line in found.splitlines()}
    for worker in workers:
        said = [
            json.loads(line) for line in installed.run("journalctl", "-o", "json", f"WORKER_ID={worker}").splitlines()
        ]
        assert {record["WORKER_ID"] for record in said} == {worker}
        assert {"day.published"} <= {record["EVENT"] for record in said}
        assert {record["SYSLOG_IDENTIFIER"] for record in said} == {"gscd"}
    assert workers


def test_stopping_postgres_does_not_stop_it(installed: Machine) -> None:
    before = (installed.show("MainPID"), restarts(installed), pids(installed))
    installed.run("systemctl", "stop", "postgresql")
    sync(installed, "2026-05-01", "2026-05-02")
    installed.wait_until("status says so", lambda: "Postgres is away" in installed.ended("gscd", "status").stdout)
    assert installed.show("ActiveState") == "active"
    installed.run("systemctl", "start", "postgresql")
    installed.wait_until("it goes on by itself", lambda: published(installed, "2026-05-01", "2026-05-02") == 2)
    assert (installed.show("MainPID"), restarts(installed), pids(installed)) == before


def test_a_journald_that_hangs_holds_nothing_up(installed: Machine) -> None:
    before = (installed.show("MainPID"), restarts(installed), pids(installed))
    installed.run("systemctl", "kill", "--signal=STOP", "systemd-journald")
    try:
        sync(installed, "2026-04-01", "2026-04-20")  # more records than the journal's socket takes
        installed.wait_until("it is published", lambda: published(installed, "2026-04-01", "2026-04-20") == 20)
        assert installed.ended("gscd", "halt", "--wait").returncode == 0
        assert installed.ended("gscd", "resume").returncode == 0
        installed.wait_until("it goes on", lambda: installed.show("StatusText") == "running")
    finally:
        installed.run("systemctl", "kill", "--signal=CONT", "systemd-journald")
    assert (installed.show("MainPID"), restarts(installed), pids(installed)) == before


def test_a_worker_that_is_killed_leaves_the_others_alive(installed: Machine) -> None:
    main, count, before, victim = installed.show("MainPID"), restarts(installed), pids(installed), worker_of(installed)
    installed.run("kill", "-KILL", str(victim))
    installed.wait_until("another worker is there", lambda: len(pids(installed) - {victim}) == len(before))
    assert before - pids(installed) == {victim}
    assert (installed.show("MainPID"), restarts(installed), installed.show("ActiveState")) == (main, count, "active")
    assert installed.show("OOMPolicy") == "continue"  # so that the kernel's kill is no more than this one
    sync(installed, "2026-03-03", "2026-03-04")
    installed.wait_until("it works on", lambda: published(installed, "2026-03-03", "2026-03-04") == 2)


def test_a_worker_killed_for_memory_leaves_the_others_alive(installed: Machine) -> None:
    if is_unlimited(installed):
        pytest.skip("this kernel holds no unit to its MemoryMax, so that nobody can be killed for it")
    memory = UnitMemory(installed)
    main, count, before = installed.show("MainPID"), restarts(installed), pids(installed)
    victim = worker_of(installed)
    installed.run("choom", "--pid", str(victim), "--adjust", "1000")
    sync(installed, "2026-02-01", "2026-02-28", "--force")  # who works wants memory

    def is_dead() -> bool:
        memory.squeeze(victim)
        sync(installed, "2026-02-01", "2026-02-28", "--force")
        return victim not in pids(installed)

    installed.wait_until("the kernel kills", is_dead)
    assert memory.kills() >= 1
    installed.wait_until("another worker is there", lambda: len(pids(installed)) == len(before))
    assert (installed.show("MainPID"), restarts(installed), installed.show("ActiveState")) == (main, count, "active")
    assert before - pids(installed) == {victim}
    sync(installed, "2026-03-01", "2026-03-02")
    installed.wait_until("it works on", lambda: published(installed, "2026-03-01", "2026-03-02") == 2)


def test_a_reload_puts_settings_in_force_under_the_same_supervisor(installed: Machine) -> None:
    main = installed.show("MainPID")
    put(installed, "/etc/gscd/gscd.toml", SETTINGS.replace("max_concurrency = 2", "max_concurrency = 3"))
    installed.run("systemctl", "reload", "gscd")
    installed.wait_until("a third worker runs", lambda: len(pids(installed)) == 6)
    assert (installed.show("MainPID"), restarts(installed)) == (main, 0)


def test_a_reload_with_bad_settings_is_refused_and_changes_nothing(installed: Machine) -> None:
    main = installed.show("MainPID")
    put(installed, "/etc/gscd/gscd.toml", SETTINGS.replace("max_concurrency = 2", "max_concurrency = 200"))
    assert installed.ended("gscd", "reload").returncode == 78
    installed.run("systemctl", "reload", "gscd")
    installed.wait_until("it is refused", lambda: "the old settings stay in force" in installed.journal())
    assert (installed.show("MainPID"), len(pids(installed))) == (main, 6)
    put(installed, "/etc/gscd/gscd.toml", SETTINGS)
    installed.run("gscd", "reload")
    installed.wait_until("two workers run", lambda: len(pids(installed)) == 5)


def test_a_signal_to_the_whole_unit_halts_and_kills_nobody(installed: Machine) -> None:
    installed.wait_until("the reload is done", lambda: is_still(installed))
    before = pids(installed)
    installed.run("systemctl", "kill", "--signal=USR1", "gscd")
    installed.wait_until("the unit says halted", lambda: installed.show("StatusText").startswith("halted"))
    assert pids(installed) == before
    assert restarts(installed) == 0
    assert installed.ended("test", "-e", "/var/lib/gscd/HALT").returncode == 0


def test_a_halt_survives_a_reboot(installed: Machine) -> None:
    installed.run("systemctl", "enable", "gscd")
    installed.reboot()
    installed.wait_until("gscd is up again", lambda: installed.show("ActiveState") == "active")
    installed.wait_until("and halted", lambda: installed.show("StatusText").startswith("halted"))
    assert installed.ended("gscd", "resume").returncode == 0
    installed.wait_until("and goes on", lambda: installed.show("StatusText") == "running")


def test_a_killed_supervisor_is_started_again_and_leaves_nobody_behind(installed: Machine) -> None:
    before = pids(installed)
    installed.run("systemctl", "kill", "--kill-whom=main", "--signal=KILL", "gscd")
    installed.wait_until(
        "it is up again", lambda: restarts(installed) == 1 and installed.show("StatusText") == "running"
    )
    assert not before & pids(installed)


def test_a_hung_supervisor_is_found_by_the_watchdog(installed: Machine) -> None:
    count = restarts(installed)
    installed.run("systemctl", "kill", "--kill-whom=main", "--signal=STOP", "gscd")
    installed.wait_until("it is up again", lambda: restarts(installed) > count)
    installed.wait_until("it is up again", lambda: installed.show("StatusText") == "running")


def test_a_stop_drains_and_ends_with_success(installed: Machine) -> None:
    installed.run("systemctl", "stop", "gscd")
    assert (installed.show("Result"), installed.show("ExecMainStatus")) == ("success", "0")
    assert installed.ended("pgrep", "--uid", "gscd").stdout == ""


def test_it_starts_and_waits_with_postgres_and_redis_away(installed: Machine) -> None:
    installed.run("systemctl", "stop", "redis-server", "postgresql")
    assert "CREATE ROLE gscd LOGIN" in installed.run(INSTALL)  # the SQL for a Postgres elsewhere
    installed.run("systemctl", "start", "gscd")
    assert installed.show("StatusText") == "running"
    installed.wait_until("status says so", lambda: "Postgres is away" in installed.ended("gscd", "status").stdout)
    installed.run("systemctl", "start", "redis-server", "postgresql")
    assert (installed.show("ActiveState"), restarts(installed)) == ("active", 0)
    installed.run("systemctl", "stop", "gscd")


def test_settings_that_cannot_work_are_not_tried_again(installed: Machine) -> None:
    put(installed, "/etc/gscd/gscd.toml", SETTINGS.replace("max_concurrency = 2", "max_concurrency = 200"))
    assert installed.ended("systemctl", "start", "gscd").returncode != 0
    # One that is to be tried again would be "activating".
    assert (installed.show("ActiveState"), installed.show("ExecMainStatus")) == ("failed", "78")
    assert restarts(installed) == 0
    assert "max_concurrency" in installed.journal()


def test_a_credential_that_is_missing_is_said_to_be(installed: Machine) -> None:
    put(installed, "/etc/gscd/gscd.toml", SETTINGS.replace('dsn = "postgresql:///gsc"', 'dsn_file = "%d/dsn"'))
    assert installed.ended("systemctl", "start", "gscd").returncode != 0
    assert installed.show("ExecMainStatus") == "78"
    assert "dsn: the secrets file is empty. /etc/gscd/dsn is missing or empty" in installed.journal()


def test_uninstall_keeps_what_is_precious(installed: Machine) -> None:
    installed.run("/opt/checkout/scripts/uninstall")
    assert installed.show("LoadState") == "not-found"
    assert installed.ended("test", "-e", "/opt/gscd").returncode == 1
    assert installed.ended("test", "-d", "/var/lib/gscd").returncode == 0
    installed.run("/opt/checkout/scripts/uninstall", "--purge")
    assert installed.ended("test", "-e", "/var/lib/gscd").returncode == 1
    assert installed.ended("id", "gscd").returncode == 1
    installed.run("runuser", "-u", "postgres", "--", "psql", "-d", "gsc", "-XAtc", "SELECT 1")


def cgroups() -> set[str]:
    return {str(path) for path in Path("/sys/fs/cgroup").glob("**/gscd-test-*")}


def test_nothing_of_a_machine_is_left_when_its_test_is_killed() -> None:
    if reason := reason_not_to():
        pytest.skip(reason)
    before = cgroups()
    program = "import signal, systemd_machine as m\nwith m.booted() as up: print(up.folder, flush=True); signal.pause()"
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT / "tests/systemd")}
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env=environment) as test:
        assert test.stdout is not None
        folder = Path(test.stdout.readline().strip())
        assert cgroups() > before
        test.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 20
    while (folder.exists() or cgroups() != before) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (folder.exists(), cgroups()) == (False, before)
    assert not Path("/opt/checkout").exists()

"""What the pages say is so: names, commands, links; and nothing that the program has is missing."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import click
import pytest

from gsc_daemon import errors
from gsc_daemon.cli import gscd
from gsc_daemon.cli.document import every_command
from gsc_daemon.events import EVENTS, Level
from gsc_daemon.settings.schema import SECTIONS, abouts

CHECKOUT = Path(__file__).parents[2]
PAGES = sorted([*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/*.md")])
TEXTS = {str(page.relative_to(CHECKOUT)): page.read_text(encoding="utf-8") for page in PAGES}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def every_name(classes: type[errors.GscdError]) -> Iterator[str]:
    yield classes.__name__
    for below in classes.__subclasses__():
        yield from every_name(below)


# links


def anchors(text: str) -> set[str]:
    """Headings as GitHub makes anchors of them."""
    outside = FENCE.sub("", text)
    titles = re.findall(r"^#+ (.*)$", outside, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links() -> list[tuple[str, str]]:
    found = []
    for name, text in TEXTS.items():
        targets = re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", text))
        found += [(name, target) for target in targets if not target.startswith(("http://", "https://", "mailto:"))]
    return found


@pytest.mark.parametrize(("page", "target"), links())
def test_every_link_leads_somewhere(page: str, target: str) -> None:
    path, _, anchor = unquote(target).partition("#")
    file = (CHECKOUT / page).parent / path if path else CHECKOUT / page
    assert file.exists()
    if anchor:
        assert anchor in anchors(file.read_text(encoding="utf-8"))


# what the program has is in the pages


def test_every_command_is_described() -> None:
    missing = [name for name, _ in every_command() if f"gscd {name}" not in TEXTS["docs/commands.md"]]
    assert missing == []


def test_every_setting_is_described() -> None:
    page = TEXTS["docs/settings.md"]
    for section, kind in SECTIONS.items():
        _, _, rest = page.partition(f"## [{section}]")
        part, _, _ = rest.partition("\n## ")
        assert [key for key in abouts(kind) if f"| `{key}` |" not in part] == []


def test_every_event_is_described() -> None:
    assert [name for name in EVENTS if f"| `{name}` |" not in TEXTS["docs/events.md"]] == []


def test_every_event_that_wants_attention_says_what_to_do() -> None:
    rows = dict(re.findall(r"^\| (`[^|]*) \| (\w[^|]*) \|", TEXTS["docs/errors.md"], re.MULTILINE))
    said = {name: level for names, level in rows.items() for name in re.findall(r"`([^`]+)`", names)}
    for name, spec in EVENTS.items():
        if spec.level <= Level.WARNING:
            assert said.get(name) in (spec.level.name.lower(), "as named"), name


def test_every_error_and_exit_code_is_described() -> None:
    page = TEXTS["docs/errors.md"]
    assert [name for name in every_name(errors.GscdError) if f"`{name}`" not in page] == []
    assert [code for code in errors.Exit if f"| {code.value} |" not in page] == []
    assert [kind.value for kind in errors.Refusal if f"| `{kind.value}` |" not in page] == []


def test_each_error_stands_beside_its_exit_code() -> None:
    rows = dict(re.findall(r"^\| (\d+) \|[^|]*\| (.*) \|$", TEXTS["docs/errors.md"], re.MULTILINE))
    for name in every_name(errors.GscdError):
        code = getattr(errors, name).exit_code
        assert f"`{name}`" in rows[str(code.value)]


def test_the_pages_made_from_the_program_are_current() -> None:
    checked = subprocess.run(
        [sys.executable, CHECKOUT / "scripts/docs", "--check"], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")


# what the pages say is in the program


def command_lines() -> Iterator[tuple[str, str]]:
    """Each `gscd …` of the pages: a line of a shell block, or a word in backquotes."""
    for name, text in TEXTS.items():
        for language, block in FENCE.findall(text):
            if language in ("sh", "bash", "console", "shell"):
                for line in block.replace("\\\n", " ").splitlines():
                    for part in re.split(r"&&|;|\|(?!\|)", line.partition(" #")[0]):
                        yield from ((name, words) for words in [part.strip(" $")] if words.startswith("gscd "))
        for words in re.findall(r"(?<!`)`(gscd [^`\n]+)`(?!`)", FENCE.sub("", text)):
            yield name, words


PLACEHOLDERS = {"D": "2026-01-31", "DATE": "2026-01-31", "N": "5", "S": "sc-domain:example.com", "…": "words"}


def plain(words: list[str]) -> list[str]:
    """Words with a synopsis' placeholders made into something that parses; what may be left out is, as redirections."""
    kept: list[str] = []
    for word in words:
        if word in (">", "<"):
            break
        after_option = bool(kept) and kept[-1].startswith("--")
        if word == "…" and kept == ["sync"]:
            word = "recent"
        if word.startswith("[") or word.endswith("]") or (word == "…" and not after_option):
            continue
        kept.append(PLACEHOLDERS.get(word, word))
    return kept


def parses(words: list[str]) -> None:
    """Walk down the tree; raises what click raises for an unknown command, option or value."""
    command: click.Command = gscd
    context = None
    while True:
        group = isinstance(command, click.Group)
        own = command.make_context(command.name or "gscd", list(words), parent=context, resilient_parsing=False)
        if not group:
            return
        rest = [*own._protected_args, *own.args]
        if not rest:
            return
        below = command.get_command(own, rest[0])  # type: ignore[attr-defined]
        assert below is not None, f"there is no {rest[0]}"
        command, words, context = below, rest[1:], own


@pytest.mark.parametrize(("page", "line"), sorted(set(command_lines())))
def test_every_command_line_parses(page: str, line: str) -> None:
    words = plain(shlex.split(line)[1:])
    try:
        parses(words)
    except click.exceptions.NoArgsIsHelpError:
        return
    except click.exceptions.MissingParameter:
        assert page != "README.md" or len(words) <= 2  # named in passing, not to be typed
    except click.exceptions.Exit:
        return


def test_the_readme_names_scripts_that_are_there() -> None:
    named = set(re.findall(r"(?<!tests/)(?:scripts|\.ci)/\w+", "\n".join(TEXTS.values())))
    assert {"scripts/demo", "scripts/test", "scripts/install", "scripts/uninstall", ".ci/run"} <= named
    assert [name for name in sorted(named) if not (CHECKOUT / name).exists()] == []


def test_settings_named_in_the_pages_are_there() -> None:
    known = {f"{section}.{key}" for section, kind in SECTIONS.items() for key in abouts(kind)}
    named = {words for text in TEXTS.values() for words in re.findall(rf"`((?:{chr(124).join(SECTIONS)})\.\w+)`", text)}
    assert {name for name in named if not name.endswith(".db")} - known - set(EVENTS) == set()


def test_events_named_in_the_pages_are_there() -> None:
    kinds = sorted({name.partition(".")[0] for name in EVENTS})
    pattern = rf"(?:EVENT=|`)((?:{'|'.join(kinds)})\.[a-z_]+)\b"
    named = {name for text in TEXTS.values() for name in re.findall(pattern, text)}
    known = {f"{section}.{key}" for section, kind in SECTIONS.items() for key in abouts(kind)} | {"sites.list"}
    assert {name for name in named if not name.endswith((".md", ".toml", ".db", ".py"))} - set(EVENTS) - known == set()


# what must not stand anywhere


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files"], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("this is no git checkout")
    return [CHECKOUT / name for name in listed.stdout.splitlines() if (CHECKOUT / name).is_file()]


def test_no_package_index_and_no_path_of_a_developers_machine_is_named() -> None:
    hosts = ("py" + "pi.org", "python" + "hosted.org", "files.pyth" + "onhosted", "arti" + "factory", "dev" + "pi")
    places = re.compile(r"/(?:home|Users)/[a-z]\w+/|/work/(?:main|shared)\b|/ro" + r"ot/\.pyenv")
    found = []
    for file in tracked():
        text = file.read_text(encoding="utf-8", errors="ignore")
        found += [f"{file}: {host}" for host in hosts if host in text]
        found += [f"{file}: {place}" for place in places.findall(text)]
    assert found == []


def test_files_named_in_the_pages_are_there() -> None:
    named = {
        (page, path)
        for page, text in TEXTS.items()
        for path in re.findall(r"`((?:gsc_daemon|tests|scripts|systemd|docs|\.ci)/[\w./]*)`", text)
    }
    assert sorted((page, path) for page, path in named if not (CHECKOUT / path).exists()) == []

"""No statement is put together from values: what is formatted into SQL is a number or name of ours, and listed here."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "gsc_daemon"
VERBS = re.compile(
    r"^\s*(SELECT|INSERT|UPDATE|DELETE|MERGE|WITH|PRAGMA|CREATE|ALTER|DROP|GRANT|SET|ATTACH|VACUUM|COPY|TRUNCATE|LOCK)\s"
)
# Where text is put together that begins like SQL, and why no foreign word can come in.
KNOWN = {
    ("ledger/connection.py", "PRAGMA cache_size = -…"),  # a constant
    ("ledger/connection.py", "PRAGMA busy_timeout = …"),  # an int
    ("ledger/opening.py", "PRAGMA user_version = …"),  # the number of a migration
    # Shown to a person, never run; the names are quoted.
    ("sink/migrate.py", "CREATE SCHEMA … AUTHORIZATION …;"),
    ("sink/migrate.py", "GRANT USAGE, CREATE ON SCHEMA … TO …;"),
}
# Psycopg's own composition quotes names; these take raw text, which must be a constant or a file of ours.
RAW = {
    ("sink/statements.py", "(_FOLDER / f'{name}.sql').read_text(encoding='utf-8')"),
    ("sink/migrate.py", "step.path.read_text(encoding='utf-8')"),
}


def modules() -> Iterator[tuple[str, ast.Module]]:
    for file in sorted(PROGRAM.rglob("*.py")):
        yield str(file.relative_to(PROGRAM)), ast.parse(file.read_text())


def shape(node: ast.JoinedStr) -> str:
    """The text of an f-string, each value an ellipsis."""
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)


def composed(tree: ast.Module) -> Iterator[str]:
    """Text that begins like a statement and has values put into it: f-strings, ``%``, ``+``, ``.format``."""
    for node in ast.walk(tree):
        match node:
            case ast.JoinedStr() if any(isinstance(part, ast.FormattedValue) for part in node.values):
                text = shape(node)
            case ast.BinOp(left=ast.Constant(value=str(text)), op=ast.Mod() | ast.Add()):
                pass
            case ast.Call(func=ast.Attribute(value=ast.Constant(value=str(text)), attr="format")):
                pass
            case _:
                continue
        if VERBS.match(text):
            yield text


def raw(tree: ast.Module) -> Iterator[str]:
    """What is given to ``sql.SQL`` and is no constant."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="sql"), attr="SQL"), args=[argument]):
                if not isinstance(argument, ast.Constant):
                    yield ast.unparse(argument)


def test_only_known_statements_are_put_together() -> None:
    assert {(name, text) for name, tree in modules() for text in composed(tree)} == KNOWN


def test_psycopg_is_given_no_raw_text_but_our_files() -> None:
    assert {(name, text) for name, tree in modules() for text in raw(tree)} == RAW


@pytest.mark.parametrize(
    "bad",
    [
        'run(f"SELECT * FROM site WHERE name = {name!r}")',
        'run("DELETE FROM site WHERE name = " + name)',
        'run("UPDATE site SET name = %s" % name)',
        'run("INSERT INTO site VALUES ({})".format(name))',
    ],
)
def test_such_text_would_be_found(bad: str) -> None:
    assert list(composed(ast.parse(bad)))


def test_sql_files_have_no_place_for_values_but_parameters() -> None:
    """What Psycopg fills in by name are identifiers and parts of ours; SQLite's statements are not filled in at all."""
    for file in (PROGRAM / "ledger").rglob("*.sql"):
        assert not re.search(r"\{\w*\}|%s|%\(", file.read_text()), file
    filled = {
        name
        for file in (PROGRAM / "sink" / "statements").glob("*.sql")
        for name in re.findall(r"(?<!\{)\{(\w*)\}(?!\})", file.read_text())
    }
    assert not filled & {"", "site", "site_url", "date", "token", "value", "query", "page"}

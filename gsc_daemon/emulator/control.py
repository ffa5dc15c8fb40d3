"""Emulator, control: what a test asks of it that no client of Google could; under /emulator, without sign-in."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from typing import Any, Final

from gsc_daemon.emulator.api import Api
from gsc_daemon.emulator.audit import dimensions_of
from gsc_daemon.emulator.call import Call
from gsc_daemon.emulator.config import SiteSpec, to_json
from gsc_daemon.emulator.deflate import compress_once, stored
from gsc_daemon.emulator.render import Style, rows_text
from gsc_daemon.emulator.replies import ApiError, Reply
from gsc_daemon.emulator.request import PAGES_ONLY, Query, parse_query
from gsc_daemon.errors import UsageError

PREFIX: Final = "/emulator/"


def _json(value: Any, status: int = 200) -> Reply:
    return Reply(status, [compress_once(json.dumps(value).encode())])


def _site(api: Api, params: dict[str, str]) -> SiteSpec:
    site = api.truth.sites.get(params["site"])
    if site is None:
        raise UsageError(f"the emulator has no site {params['site']!r}")
    return site


def _query(params: dict[str, str], first: str, last: str) -> Query:
    """What is asked for, as a client would ask it; of the finest dimensions unless it says which."""
    search_type = params.get("search_type", "web")
    dimensions = params.get("dimensions", ",".join(dimensions_of(search_type)))
    asked = {"startDate": first, "endDate": last, "type": search_type, "dataState": params.get("state", "all")}
    return parse_query(json.dumps({**asked, "dimensions": [name for name in dimensions.split(",") if name]}).encode())


def _truth(api: Api, params: dict[str, str]) -> Reply:
    query = _query(params, params["first"], params["last"])
    return _json([to_json(day) for day in api.audit.days(_site(api, params), query, api.today)])


def _rows(api: Api, params: dict[str, str]) -> Reply:
    query = _query(params, params["date"], params["date"])
    rows = api.audit.rows(_site(api, params), query, api.today)
    style = Style(position=query.search_type not in PAGES_ONLY)
    return Reply(200, [stored(b"["), compress_once(rows_text(rows, style).encode()), stored(b"]")])


def _act(api: Api, what: str, given: dict[str, Any]) -> Any:
    match what:
        case "config":
            api.configure(given)
            return to_json(api.config)
        case "account":
            api.accounts.add(given)
        case "revoke":
            api.accounts.revoke(given["email"])
        case "restore":
            api.accounts.restore(given["email"])
        case "expire-tokens":
            api.accounts.expire_tokens()
        case "restate":
            first, last = dt.date.fromisoformat(given["first"]), dt.date.fromisoformat(given["last"])
            api.truth.restate(_site(api, given).site_url, first, last)
        case _:
            return None
    return {}


async def control(api: Api, call: Call) -> Reply:
    """The answer to a call under /emulator/."""
    what = call.path.removeprefix(PREFIX)
    try:
        if call.method == "POST":
            done = _act(api, what, json.loads(call.body or b"{}"))
            return _json(done) if done is not None else _json({"error": f"no {call.path}"}, 404)
        match what:
            case "stats":
                return _json(api.stats.report(api.quotas))
            case "requests":
                return _json([_record(record) for record in api.stats.records])
            case "config":
                return _json(to_json(api.config) | {"today": api.today.isoformat()})
            case "truth" | "rows":
                look = _truth if what == "truth" else _rows
                return await asyncio.get_running_loop().run_in_executor(None, look, api, call.params)
    except KeyError as error:
        return _json({"error": f"{call.path} needs {error.args[0]!r}"}, 400)
    except (ApiError, UsageError, ValueError, TypeError) as error:
        return _json({"error": f"{error}"}, 400)
    return _json({"error": f"no {call.path}"}, 404)


def _record(record: Any) -> dict[str, Any]:
    fetch = record.fetch
    return {**record._asdict(), "fetch": fetch._asdict() if fetch is not None else None}

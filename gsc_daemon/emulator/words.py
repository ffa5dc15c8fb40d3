"""Emulator, truth: queries and URLs as real sites have them, the awkward ones included."""

from __future__ import annotations

import random
from typing import Final

COUNTRIES: Final = (
    *("usa", "gbr", "deu", "ind", "fra", "can", "aus", "bra", "esp", "ita", "nld", "jpn", "mex", "pol", "idn", "tur"),
    *("swe", "che", "aut", "bel", "phl", "zaf", "irl", "nzl", "dnk", "nor", "fin", "prt", "arg", "col", "zzz"),
)
DEVICES: Final = ("MOBILE", "DESKTOP", "TABLET")

_COMMON: Final = (
    *("best", "cheap", "how to", "near me", "what is", "vs", "review", "2026", "for sale", "buy", "free", "online"),
    *("the", "in", "with", "for", "without", "repair", "price", "used", "new", "kids", "guide", "ideas", "meaning"),
)
_SYLLABLES: Final = (
    *("ba", "lo", "mi", "ter", "ran", "sol", "ve", "ki", "dor", "na", "pel", "ga", "tu", "rin", "mon", "sta"),
    *("cre", "li", "fo", "sha", "ber", "quo", "zen", "wa", "tri", "del", "pho", "ma", "rus", "ne", "cor", "vi"),
)
# What breaks careless parsers, escapers and number guessers; each is a whole query.
AWKWARD_QUERIES: Final = (
    *("0x1f", "1e5", "007", "1.0", "null", "NaN", "true", "\\N", "-", "'; drop table rows; --", "=1+1", "100% wool"),
    *('"exact phrase"', 'say "hi" to \\ and \\n', "tab\tin the middle", "two  spaces", "line\nbreak", "a\\"),
    *("café crème brûlée", "cafe\u0301", "straße", "東京 ラーメン おすすめ", "北京烤鸭", "서울 카페", "купить чайник"),
    *("مطعم قريب", "מסעדה", "🍕 near me", "👩‍👩‍👧 family photo", "emoji 🇩🇪 flag", "zero\u200bwidth", "nbsp\u00a0here"),
    *("<b>bold</b> & more", "site:example.com intitle:x", "x" * 300),
)
# Unpaired surrogates and NUL can be written in JSON and cannot be held by PostgreSQL.
IMPOSSIBLE_QUERIES: Final = ("nul \x00 inside", "\x00", "half a pair \ud83d here", "ends in \udc4d")


def _vocabulary(rng: random.Random, count: int) -> list[str]:
    words = list(_COMMON)
    while len(words) < count:
        words.append("".join(rng.choices(_SYLLABLES, k=rng.choice((1, 2, 2, 3, 3, 4)))))
    return words


def queries(rng: random.Random, count: int) -> list[str]:
    """Different queries of 28 characters on average, in no order."""
    vocabulary = _vocabulary(rng, 2500)
    found = dict.fromkeys(AWKWARD_QUERIES)
    while len(found) < count:
        found[" ".join(rng.choices(vocabulary, k=rng.choice((2, 3, 4, 4, 5, 6))))] = None
    return list(found)


def urls(rng: random.Random, count: int, host: str) -> list[str]:
    """Different URLs of 75 characters on average; one in a thousand has 2,500 to 4,000 that do not compress."""
    vocabulary = [word.replace(" ", "-") for word in _vocabulary(rng, 1500)]
    base = f"https://{host}/"
    found = dict.fromkeys((base, f"{base}?q=a%20b&x=1#top", f"{base}größe/日本/", f"{base}a\\b/'quoted'/"))
    for _ in range(max(1, count // 1000)):
        found[f"{base}search?state={rng.randbytes(rng.randrange(1225, 1975)).hex()}"] = None
    while len(found) < count:
        path = "/".join(
            "-".join(rng.choices(vocabulary, k=rng.choice((1, 2, 3)))) for _ in range(rng.choice((2, 3, 4)))
        )
        tail = rng.choice(("", "", "/", ".html", f"?id={rng.randrange(10**6)}"))
        found[f"{base}{path}{tail}"] = None
    return list(found)

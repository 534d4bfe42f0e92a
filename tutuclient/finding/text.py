"""Addresses and data in a text: in markdown and bare, but not in code, nor in the lines that tell of progress."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, NamedTuple

from tutuclient.finding.data_uris import CUT, DATA, cut_data, places
from tutuclient.media.addresses import PICTURE_FILE, steps_of
from tutuclient.media.encoded import Base64
from tutuclient.types.images import is_address

if TYPE_CHECKING:
    from collections.abc import Iterable

# A text that is made to be slow to read must not hold the event loop: so much is looked at, and no more. No answer that
# was seen has a hundredth of it.
_MOST_LINKS = 2000  # addresses
_MOST_MARKS = 20_000  # brackets, runs of backticks, quoted lines and fences, each
_MOST_TEXT = 500_000  # characters at a text's beginning, and as many at its end, without the data
_LABEL = 1000  # characters of a label or ALT text that are looked at and kept
_HTTP = tuple(map(re.compile, ("http", "HTTP", "Http")))
# The forms of a text. Each pattern is possessive or bounded: no text makes one of them look twice at the same stretch.
_LINE = re.compile(r"^[ \t]*+(?:>|(?P<fence>`{3,}+(?=[^`\n]*+$)|~{3,}+)(?P<info>[^\n]*+))[^\n]*+", re.MULTILINE)
_TICKS = re.compile(r"`++")
_BRACKET = re.compile(r"\\.|!?\[|\]\(?", re.DOTALL)
_TARGET = re.compile(
    r"\s{0,9}+(?:<(?P<angle>[^<>\n]*+)>|(?P<plain>[^\s()<>]*+(?:\([^\s()]*+\)[^\s()<>]*+)*+))"
    r"(?:\s{1,9}+(?:\"[^\"\n]*+\"|'[^'\n]*+'))?+\s{0,9}+\)",
)
# An address with spaces, which CommonMark takes between angle brackets only.
_SPACED = re.compile(
    r"\s{0,9}+(?:(?P<angle>(?!))|(?P<plain>(?i:https?)://[^\s()<>\"]++(?:[ ]{1,3}[^\s()<>\"]++){1,40}+))[ ]?\)"
)
_URL = re.compile(
    r"(?i:https?):(?:\\?/){2}"
    r"[A-Za-z0-9._~%!$&*+=:@/?#-]*+(?:(?:\\/|\\u0026|[,;](?!http)"
    r"|\([A-Za-z0-9._~%!$&*+=:@/?#,;-]{0,200}+\)|\[[A-Za-z0-9._~%!$&*+=:@/?#,;-]{0,200}+\])"
    r"[A-Za-z0-9._~%!$&*+=:@/?#-]*+)*+",
)
_BRACKETED = re.compile(r"[(\[][^()\[\]]*[)\]]\Z")
_END_OF_LINE = re.compile(r"[ \t.。!！*_~]{0,9}(?:\n|\r|\Z)")


class Mention(NamedTuple):
    """An address or data in a text, and how it stands there.

    Attributes:
        start: Its place in the text.
        target: The address, or the data.
        declared: What a data URI says it is, or "".
        label: The text between the brackets of markdown; None for what stands bare.
        is_image: It is markdown's image syntax.
        alone: It ends its line, and has nothing but a colon before it there, if that.
        holds: The address of the image within the label, or None.
    """

    start: int
    target: str | Base64
    declared: str = ""
    label: str | None = None
    is_image: bool = False
    alone: bool = False
    holds: str | None = None


def may_hold_images(text: str) -> bool:
    """Return whether a text has a link, an address or data; most have none, and need no more."""
    return "](" in text or any(word.search(text) for word in (*DATA, *_HTTP))


def _unescape(url: str) -> str:
    """Undo what JSON, markdown and HTML do to an address."""
    return re.sub(r"\\([^A-Za-z0-9\s])", r"\1", url.replace("\\u0026", "&")).replace("&amp;", "&")


def prepare(text: str, *, quoted: bool = False) -> tuple[str, dict[int, tuple[str, Base64]]]:
    """Make a text ready: data are cut out, and what is not to be looked at is blank.

    Blank are code, fenced and within a line, and lines that begin with ">", which
    is how relays tell of progress. A fence that is never closed is none: better a
    picture too many than one lost.

    Args:
        text: As it came.
        quoted: Leave the lines with ">" instead of the others.

    Returns:
        The text, and for the place of each "data:" in it what it declares to be and the data that followed.
    """
    text, cuts = _shortened(*cut_data(text))
    code, quotes = _inline_code(text), list[tuple[int, int]]()
    fence: re.Match[str] | None = None
    has_lines = ">" in text or "```" in text or "~~~" in text
    for line in itertools.islice(_LINE.finditer(text) if has_lines else (), _MOST_MARKS):
        mark = line["fence"]
        if mark is None:
            quotes.append(line.span())
        elif fence is None:
            fence = line
        elif mark[0] == fence["fence"][0] and len(mark) >= len(fence["fence"]) and not line["info"].strip():
            code.append((fence.start(), line.end()))
            fence = None
    if quoted:
        ends = [0, *itertools.chain.from_iterable(quotes), len(text)]
        quotes = list(zip(ends[::2], ends[1::2], strict=True))
    return _blank(text, code + quotes), cuts


def _shortened(text: str, cuts: dict[int, tuple[str, Base64]]) -> tuple[str, dict[int, tuple[str, Base64]]]:
    """Cut the middle out of a text that is much longer than any answer, but not the data that were cut out of it."""
    if len(text) <= 2 * _MOST_TEXT:
        return text, cuts
    behind = len(text) - _MOST_TEXT
    pieces, length = [text[:_MOST_TEXT]], _MOST_TEXT
    kept: dict[int, tuple[str, Base64]] = {}
    for place, cut in cuts.items():
        if place + len(CUT) <= _MOST_TEXT:
            kept[place] = cut
        elif place < behind:
            pieces.append(f"\n{CUT}")
            kept[length + 1] = cut
            length += 1 + len(CUT)
    pieces.append("\n")
    kept |= {length + 1 + place - behind: cut for place, cut in cuts.items() if place >= behind}
    return "".join((*pieces, text[behind:])), kept


def _inline_code(text: str) -> list[tuple[int, int]]:
    """Find the code spans: from a run of backticks to the next one as long, on the same line.

    Source: CommonMark 0.31, section 6.1, but for spans over several lines.
    """
    runs = [run.span() for run in itertools.islice(_TICKS.finditer(text), _MOST_MARKS)]
    following: dict[int, int] = {}
    partner = [-1] * len(runs)
    for number in range(len(runs) - 1, -1, -1):
        width = runs[number][1] - runs[number][0]
        partner[number] = following.get(width, -1)
        following[width] = number
    spans: list[tuple[int, int]] = []
    number = 0
    while number < len(runs):
        other = partner[number]
        if other > 0 and text.find("\n", runs[number][1], runs[other][0]) < 0:
            spans.append((runs[number][0], runs[other][1]))
            number = other
        number += 1
    return spans


def _blank(text: str, spans: Iterable[tuple[int, int]]) -> str:
    """Put spaces in place of these stretches, so that the places of all others stay."""
    pieces: list[str] = []
    at = 0
    for start, end in sorted(spans):
        if end > at:
            pieces += (text[at:start], " " * (end - max(start, at)))
            at = end
    return "".join((*pieces, text[at:]))


def mentions(text: str, cuts: dict[int, tuple[str, Base64]]) -> list[Mention]:
    """Find the addresses and data in a text made ready: markdown first, then what stands bare outside of it."""
    found, spans = _in_markdown(text, cuts)
    text = _blank(text, spans)
    found += [
        Mention(start, encoded, declared) for start, (declared, encoded) in cuts.items() if text.startswith(CUT, start)
    ]
    at = 0
    for place in places(text, _HTTP, _MOST_LINKS):
        match = _URL.match(text, place) if place >= at else None
        if match is None:
            continue
        at = match.end()
        if CUT in match[0]:
            continue  # Something was cut out of it.
        url = _without_remark(match[0].rstrip(".,;:!?*_~&"))
        before = text[max(0, match.start() - 16) : match.start()].rstrip(" \t*_~")
        begins = before.endswith(("\n", ":", "：")) or (not before and match.start() < 16)  # noqa: PLR2004  (as above)
        alone = begins and _END_OF_LINE.match(text, match.start() + len(url)) is not None
        found.append(Mention(match.start(), _unescape(url), alone=alone))
    return found


def _without_remark(url: str) -> str:
    """Remove what stands in brackets behind an address, unless the address is one of a picture's file with it."""
    remark = _BRACKETED.search(url, max(0, len(url) - 202))
    if remark and not PICTURE_FILE.fullmatch(steps_of(url)[-1]):
        bare = url[: remark.start()]
        return bare if PICTURE_FILE.fullmatch(steps_of(bare)[-1]) else url
    return url


def _in_markdown(text: str, cuts: dict[int, tuple[str, Base64]]) -> tuple[list[Mention], list[tuple[int, int]]]:
    """Find what markdown links to, and where its links stand.

    Source: CommonMark 0.31, sections 6.3 and 6.4, read generously.
    """
    target: str | Base64
    found: list[Mention] = []
    spans: list[tuple[int, int]] = []
    opened: list[tuple[int, int]] = []
    image = Mention(-1, "")
    at, last = 0, text.rfind("](") + 2
    for _ in range(_MOST_MARKS if last > 1 else 0):
        bracket = _BRACKET.search(text, at, last)
        if bracket is None:
            break
        at = bracket.end()
        if bracket[0].endswith("["):
            opened.append(bracket.span())
        elif bracket[0].startswith("]") and opened:
            start, inner = opened.pop()
            link = (_TARGET.match(text, at) or _SPACED.match(text, at)) if bracket[0] == "](" else None
            if link is None:
                continue
            at = link.end()
            spans.append((start, at))
            group = "plain" if link["angle"] is None else "angle"
            declared, target = "", _unescape(link[group])
            if not is_address(target) or CUT in link[group]:
                declared, target = cuts.get(link.start(group)) or ("", Base64(text, *link.span(group)))
            label = text[inner : min(bracket.start(), inner + _LABEL)]
            holds = image.target if image.start > start and isinstance(image.target, str) else None
            mention = Mention(start, target, declared, label, text[start] == "!", holds=holds)
            image = mention if mention.is_image else image
            found.append(mention)
    return found, spans

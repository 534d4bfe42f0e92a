"""Scanning a text for addresses and data: in markdown and bare, but not in code, nor in lines of progress."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, NamedTuple

from tutuclient.finding.data_uris import CUT, DATA, cut_data, places
from tutuclient.media.addresses import IMAGE_FILE, segments_of
from tutuclient.media.encoded import Base64
from tutuclient.types.images import is_address

if TYPE_CHECKING:
    from collections.abc import Iterable

# A text written to be slow to scan must not hold the event loop, so there are limits to what is looked at. No answer
# seen so far has a hundredth of it.
_MOST_LINKS = 2000  # addresses
_MOST_MARKS = 20_000  # brackets, runs of backticks, quoted lines and fences, each
_MOST_TEXT = 500_000  # characters at a text's beginning, and as many at its end, without the data
_LABEL = 1000  # characters of a label or ALT text that are looked at and kept
_HTTP = tuple(map(re.compile, ("http", "HTTP", "Http")))
# Each pattern has possessive (``*+``) or bounded quantifiers only, so that none backtracks over the same stretch:
# otherwise a text could make it take quadratic time or worse. Source: https://docs.python.org/3/library/re.html.
_LINE = re.compile(r"^[ \t]*+(?:>|(?P<fence>`{3,}+(?=[^`\n]*+$)|~{3,}+)(?P<info>[^\n]*+))[^\n]*+", re.MULTILINE)
_TICKS = re.compile(r"`++")
_BRACKET = re.compile(r"\\.|!?\[|\]\(?", re.DOTALL)
_TARGET = re.compile(
    r"\s{0,9}+(?:<(?P<angle>[^<>\n]*+)>|(?P<plain>[^\s()<>]*+(?:\([^\s()]*+\)[^\s()<>]*+)*+))"
    r"(?:\s{1,9}+(?:\"[^\"\n]*+\"|'[^'\n]*+'))?+\s{0,9}+\)",
)
# An address with spaces, which CommonMark allows between angle brackets only, and models write without them.
_SPACED = re.compile(
    r"\s{0,9}+(?:(?P<angle>(?!))|(?P<plain>(?i:https?)://[^\s()<>\"]++(?:[ ]{1,3}[^\s()<>\"]++){1,40}+))[ ]?\)"
)
# A bare address has no white space before or behind it in Chinese text, so it ends at whatever is not ASCII, at quotes
# and at brackets that it did not open (WIRE.md 2.3, rule 6). JSON's escapes of "/" and "&" belong to it.
_URL = re.compile(
    r"(?i:https?):(?:\\?/){2}"
    r"[A-Za-z0-9._~%!$&*+=:@/?#-]*+(?:(?:\\/|\\u0026|[,;](?!http)"
    r"|\([A-Za-z0-9._~%!$&*+=:@/?#,;-]{0,200}+\)|\[[A-Za-z0-9._~%!$&*+=:@/?#,;-]{0,200}+\])"
    r"[A-Za-z0-9._~%!$&*+=:@/?#-]*+)*+",
)
_BRACKETED = re.compile(r"[(\[][^()\[\]]*[)\]]\Z")
_END_OF_LINE = re.compile(r"[ \t.。!！*_~]{0,9}(?:\n|\r|\Z)")


class Mention(NamedTuple):
    """An address or data in a text, and what is around it.

    Attributes:
        start: Where it begins in the text.
        target: The address, or the data.
        declared: The media type that a data URI declares, or "".
        label: The text between the brackets of markdown; None where there is no markdown around it.
        is_image: Whether it has markdown's syntax for images.
        alone: Whether it ends its line and begins it, or stands behind a colon.
        image_within: The address of the image within the label, or None.
    """

    start: int
    target: str | Base64
    declared: str = ""
    label: str | None = None
    is_image: bool = False
    alone: bool = False
    image_within: str | None = None


def may_hold_images(text: str) -> bool:
    """Return whether a text has a link, an address or data. Most have none, and this is much faster than a scan."""
    return "](" in text or any(word.search(text) for word in (*DATA, *_HTTP))


def _unescape(url: str) -> str:
    """Undo the escapes that JSON, markdown and HTML put into an address."""
    return re.sub(r"\\([^A-Za-z0-9\s])", r"\1", url.replace("\\u0026", "&")).replace("&amp;", "&")


def prepare(text: str, *, quoted: bool = False) -> tuple[str, dict[int, tuple[str, Base64]]]:
    """Cut data out of a text, and replace what is not to be scanned by spaces.

    That is code, in fences and within a line, and lines that begin with ">", in
    which relays report progress. A fence that is never closed does not count:
    one image too many is better than one lost.

    Args:
        text: The text as it came.
        quoted: Keep the lines with ">", and no others.

    Returns:
        The text, and by the place of each "data:" in it the media type it declares and the data that followed.
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
    """Drop the middle of a text that is much longer than any answer, but keep the data that was cut out of it."""
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
    """Find code spans: from a run of backticks to the next one of the same length, on the same line.

    Source: CommonMark 0.31, section 6.1, but for spans over several lines.
    """
    runs = [run.span() for run in itertools.islice(_TICKS.finditer(text), _MOST_MARKS)]
    following: dict[int, int] = {}
    partner = [-1] * len(runs)
    # From behind, so that each run of backticks finds the next of its width in one pass over all.
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
    """Replace stretches of a text by spaces, so that all others stay where they are."""
    pieces: list[str] = []
    at = 0
    for start, end in sorted(spans):
        if end > at:
            pieces += (text[at:start], " " * (end - max(start, at)))
            at = end
    return "".join((*pieces, text[at:]))


def mentions(text: str, cuts: dict[int, tuple[str, Base64]]) -> list[Mention]:
    """Find the addresses and data in a text that ``prepare`` returned: those of markdown, then all others."""
    found, spans = _in_markdown(text, cuts)
    # Markdown first, then what is left: an ALT text may hold the address once more (WIRE.md 2.2, form 4; 2.3, rule 5).
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
            continue  # It contained data, so it is not an address.
        url = _without_remark(match[0].rstrip(".,;:!?*_~&"))
        before = text[max(0, match.start() - 16) : match.start()].rstrip(" \t*_~")
        # "…链接:https://…" is how the relay's own sample delivers an image (WIRE.md 2.2, form 1).
        begins = before.endswith(("\n", ":", "：")) or (not before and match.start() < 16)  # noqa: PLR2004  (the window above)
        alone = begins and _END_OF_LINE.match(text, match.start() + len(url)) is not None
        found.append(Mention(match.start(), _unescape(url), alone=alone))
    return found


def _without_remark(url: str) -> str:
    """Remove a remark in brackets behind an address, unless only with it the address is that of an image's file."""
    remark = _BRACKETED.search(url, max(0, len(url) - 202))
    if remark and not IMAGE_FILE.fullmatch(segments_of(url)[-1]):
        bare = url[: remark.start()]
        return bare if IMAGE_FILE.fullmatch(segments_of(bare)[-1]) else url
    return url


def _in_markdown(text: str, cuts: dict[int, tuple[str, Base64]]) -> tuple[list[Mention], list[tuple[int, int]]]:
    """Find the targets of markdown's links and images, and the stretches of text that they occupy.

    Source: CommonMark 0.31, sections 6.3 and 6.4, read leniently.
    """
    target: str | Base64
    found: list[Mention] = []
    spans: list[tuple[int, int]] = []
    opened: list[tuple[int, int]] = []
    image = Mention(-1, "")
    # No link can begin behind the last "](", so a text full of brackets is not searched to its end.
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
            image_within = image.target if image.start > start and isinstance(image.target, str) else None
            mention = Mention(start, target, declared, label, text[start] == "!", image_within=image_within)
            image = mention if mention.is_image else image
            found.append(mention)
    return found, spans

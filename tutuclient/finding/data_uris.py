"""Data URIs in a text: finding where their base64 begins and ends, however it is wrapped and escaped."""

from __future__ import annotations

import itertools
import re
from functools import lru_cache

from tutuclient.media.encoded import Base64

_MOST_DATA = 1000  # data URIs of a text; see the limits in ``text``
# Each pattern is possessive or bounded, as those in ``text`` are, and for the same reason.
# What relays make of RFC 2397: with spaces, with ";" in place of ",". Within a word or an address it is something else.
_DATA_URI = re.compile(
    r"(?:(?<![A-Za-z0-9._~%$&+=@/?#;-])|(?<=\\[nrt])|(?<=\bsrc=))"
    r"data:\s?([\w.+*\\/-]{0,80})(?:\s?;\s?[\w.+-]{1,40}=(?:[\w.+%-]{0,80}|\"[^\"\n,;]{0,80}\")){0,4}\s?[;,]\s?base64\s?,",
    re.IGNORECASE | re.ASCII,
)
# White space between the letters: as it is, or as JSON (also twice), URLs and HTML escape it.
_GAP = r"(?:\s|\\{1,2}(?:[nrt]|u000[AaDd9])|%0[AaDd9]|%20|&\#(?:10|13|x[AaDd]);)"
# "+" and "/", escaped likewise.
_ESCAPED = r"(?:\\{1,2}(?:/|u002[BbFf])|%2[BbFf]|&\#(?:43|47|x2[BbFf]);)"
_ESCAPED_LETTER = re.compile(_ESCAPED)
_SPACES = re.compile(rf"{_GAP}*+")
_LETTERS = re.compile(rf"[A-Za-z0-9+/_-]*+(?:{_ESCAPED}[A-Za-z0-9+/_-]*+)*+")
_PADDING = re.compile(r"(?:(?:=|%3[Dd]|\\{1,2}u003[Dd]|&\#(?:61|x3[Dd]);){1,2}+(?![A-Za-z0-9+/]))?+")
# All characters that base64 may be written with, for data that something closes.
_ANY_BASE64 = re.compile(
    r"[A-Za-z0-9+/_=\s-]*+(?:(?:\\{1,2}(?:[/nrt]|u00[0-9a-fA-F]{2})|%[0-9A-Fa-f]{2}|&\#x?[0-9A-Fa-f]{1,3};)[A-Za-z0-9+/_=\s-]*+)*+"
)
_SPLIT = re.compile(rf"{_GAP}++")
CUT = "data:,"
"""What is left in a text of a data URI that was cut out of it."""
DATA = tuple(map(re.compile, ("data:", "DATA:", "Data:")))
_NARROW = 4  # letters of the narrowest lines that base64 is wrapped into
_WORD = 24  # letters of the longest line that may be a word of the text instead
_LINES = re.compile(
    rf"(?:{_GAP}++(?=[A-Za-z0-9+/_-]{{24}}|(?:[A-Za-z0-9+/_-]|{_ESCAPED}){{24}})[A-Za-z0-9+/_-]*+(?:{_ESCAPED}[A-Za-z0-9+/_-]*+)*+)*+"
)
_LIKE_A_WORD = re.compile(r"(?!(.)\1\1)(?:[A-Z]?[a-z]*(?:-[a-z]+)*|[A-Z]+|[0-9]{1,4})")
_CLOSED_BY = {'"': '"', "'": "'", "(": ")", "<": ">", "`": "`", "[": "]", "“": "”", "（": "）"}


def cut_data(text: str) -> tuple[str, dict[int, tuple[str, Base64]]]:
    """Replace data URIs by "data:,", so that no other pattern has to go through megabytes of base64.

    Returns:
        The text, and by the place of each "data:," in it the media type it declares and the data.
    """
    cuts: dict[int, tuple[str, Base64]] = {}
    pieces: list[str] = []
    at = length = 0
    for place in places(text, DATA, _MOST_DATA):
        uri = _DATA_URI.match(text, place) if place >= at else None
        if uri is None:
            continue
        before = text[at : uri.start()]
        start, end, doubts = _extent(text, uri)
        cuts[length + len(before)] = (uri[1], Base64(text, start, end, doubts))
        pieces += (before, CUT)
        length += len(before) + len(CUT)
        at = end
    return "".join((*pieces, text[at:])) if cuts else text, cuts


def places(text: str, words: tuple[re.Pattern[str], ...], most: int) -> list[int]:
    """Find where some words are, in order. Patterns without flags search several times as fast as ignoring case."""
    found = [place.start() for word in words for place in itertools.islice(word.finditer(text), most)]
    return sorted(found)[:most]


def _extent(text: str, uri: re.Match[str]) -> tuple[int, int, list[int]]:
    """Find where the data of a data URI begins and ends.

    A quote or a bracket before it is closed behind it. Otherwise the lines of
    base64 that follow belong to it; a last line that could as well be a word of
    the text does so only if the image is incomplete without it. Returns where the
    data begins, where it ends, and where it may end before that.
    """
    start = _end_of(_SPACES, text, uri.end())
    while again := _DATA_URI.match(text, start):
        start = _end_of(_SPACES, text, again.end())
    run = _end_of(_LETTERS, text, start)
    doubts: list[int] = []
    end = _end_of(_PADDING, text, run)
    if end == run:
        end, doubts = _wrapped(text, start, run, run - uri.start())
    closing = _CLOSED_BY.get(text[uri.start() - 1 : uri.start()])
    if closing is not None:
        wide = _end_of(_ANY_BASE64, text, start)
        behind = text[wide : wide + 2]
        titled = closing == ")" and behind[:1] in {'"', "'"} and text[wide - 1].isspace()
        if behind.removeprefix("\\").startswith(closing) or titled:
            more = _end_of(_SPACES, text, end) < wide
            end, doubts = max(end, wide), [*doubts, end] if more else []
    return start, end, doubts


def _end_of(pattern: re.Pattern[str], text: str, at: int) -> int:
    """Return where the match of a pattern at some place ends; the place itself if it does not match there."""
    found = pattern.match(text, at)
    return at if found is None else found.end()


def _wrapped(text: str, start: int, first: int, first_width: int) -> tuple[int, list[int]]:
    """Find where base64 ends that is wrapped into lines and that nothing closes, and where it may end before that.

    Its first line ends at ``first``, and is ``first_width`` wide with what is before the data.
    """
    begin, end, _ = _line(text, first)
    width = end - begin
    lines, doubts = first, list[int]()
    if begin > first and width >= _WORD:
        lines = _end_of(_LINES, text, first)
    elif begin > first and max(first - start, _NARROW) <= width:
        lines = _end_of(_narrow_lines(width), text, first)
    if lines > first:
        *_, last_but_one, last = _SPLIT.split(text[max(first - width, lines - 4096, start) : lines])
        written = len(last)
        last_but_one, last = _ESCAPED_LETTER.sub("/", last_but_one), _ESCAPED_LETTER.sub("/", last)
        # A last line longer than those before it may be something else; so may an only one, and one like a word.
        is_even = lines == end and width in {first - start, first_width}
        is_odd = len(last) > len(last_but_one) or lines == end
        if (is_odd and not is_even) or (len(last) < _WORD and _LIKE_A_WORD.fullmatch(last)):
            doubts = [lines - written]
        padded = _end_of(_PADDING, text, lines)
        if padded > lines:
            return padded, []  # Text does not end in "=".
        if len(last) < len(last_but_one) and not doubts:
            return lines, []
    return _last_line(text, lines, doubts, is_first=lines == first)


def _last_line(text: str, lines: int, doubts: list[int], *, is_first: bool) -> tuple[int, list[int]]:
    """Find where base64 ends behind lines of equal width. Returns as ``_wrapped`` does."""
    begin, end, follows = _line(text, lines)
    padded = _end_of(_PADDING, text, end)
    if begin in {end, lines} or end - begin >= _WORD:
        return lines, doubts
    if padded > end:
        return padded, []
    is_like_a_word = _LIKE_A_WORD.fullmatch(text, begin, end) is not None
    if follows in {":", "@"} or (is_like_a_word and follows not in {"", " ", "\n", "\r", "\t", "\\", "<", "&"}):
        return lines, doubts
    return end, [*doubts, lines] if is_first or is_like_a_word or doubts else []


def _line(text: str, at: int) -> tuple[int, int, str]:
    """Find the next line of base64; return where it begins and ends, and the character behind it."""
    begin = _end_of(_SPACES, text, at)
    end = _end_of(_LETTERS, text, begin)
    return begin, end, text[end : end + 1]


@lru_cache
def _narrow_lines(width: int) -> re.Pattern[str]:
    return re.compile(rf"(?:{_GAP}++[A-Za-z0-9+/_-]{{{width}}}(?![A-Za-z0-9+/_-]))*+")

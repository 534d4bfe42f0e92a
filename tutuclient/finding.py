"""The pictures in an answer, wherever the relay hid them.

Chat models give pictures back in some fifteen forms: as parts beside the text,
as markdown, as a bare address glued to Chinese text, as base64 of many
megabytes. ``ImageFinder`` knows the forms and what only looks like one (progress
lines, code, videos, the same file linked twice), and lists what the pages of
images list.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict, deque
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from tutuclient.downloads.fetch import Downloads
from tutuclient.errors import NoImageError, printable
from tutuclient.media.image import PICTURE_FILE, Base64, GeneratedImage, steps_of
from tutuclient.media.kinds import AUDIO_EXTENSIONS
from tutuclient.settings import UNSET, RetryPolicy
from tutuclient.types.chat import ChatCompletionChunk
from tutuclient.types.images import ImagesResponse, ImageStreamEvent, address_of, data_start, is_address, unwrapped
from tutuclient.types.json import is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import SupportsIndex

    from tutuclient.settings import Timeout, Unset
    from tutuclient.types import Answer, Image

# A text that is made to be slow to read must not hold the event loop: so much is looked at, and no more. No answer that
# was seen has a hundredth of it.
_MOST_DATA = 1000  # data URIs of a text
_MOST_LINKS = 2000  # addresses
_MOST_MARKS = 20_000  # brackets, runs of backticks, quoted lines and fences, each
_MOST_TEXT = 500_000  # characters at a text's beginning, and as many at its end, without the data
_LABEL = 1000  # characters of a label or ALT text that are looked at and kept


# The forms of a text. Each pattern is possessive or bounded: no text makes one of them look twice at the same stretch.
_DATA_URI = re.compile(
    r"(?:(?<![A-Za-z0-9._~%$&+=@/?#;-])|(?<=\\[nrt])|(?<=\bsrc=))"
    r"data:\s?([\w.+*\\/-]{0,80})(?:\s?;\s?[\w.+-]{1,40}=(?:[\w.+%-]{0,80}|\"[^\"\n,;]{0,80}\")){0,4}\s?[;,]\s?base64\s?,",
    re.IGNORECASE | re.ASCII,
)
_GAP = r"(?:\s|\\{1,2}(?:[nrt]|u000[AaDd9])|%0[AaDd9]|%20|&\#(?:10|13|x[AaDd]);)"
_ESCAPED = r"(?:\\{1,2}(?:/|u002[BbFf])|%2[BbFf]|&\#(?:43|47|x2[BbFf]);)"
_LETTER = re.compile(_ESCAPED)
_SPACES = re.compile(rf"{_GAP}*+")
_RUN = re.compile(rf"[A-Za-z0-9+/_-]*+(?:{_ESCAPED}[A-Za-z0-9+/_-]*+)*+")
_FILLING = re.compile(r"(?:(?:=|%3[Dd]|\\{1,2}u003[Dd]|&\#(?:61|x3[Dd]);){1,2}+(?![A-Za-z0-9+/]))?+")
# All that base64 may be written with, for where something closes it.
_ANY_BASE64 = re.compile(
    r"[A-Za-z0-9+/_=\s-]*+(?:(?:\\{1,2}(?:[/nrt]|u00[0-9a-fA-F]{2})|%[0-9A-Fa-f]{2}|&\#x?[0-9A-Fa-f]{1,3};)[A-Za-z0-9+/_=\s-]*+)*+"
)
_SPLIT = re.compile(rf"{_GAP}++")
_CUT = "data:,"
_DATA = tuple(map(re.compile, ("data:", "DATA:", "Data:")))
_HTTP = tuple(map(re.compile, ("http", "HTTP", "Http")))
_NARROW = 4  # letters of the narrowest lines
_WORD = 24  # letters in which a line of base64 may look like a word
_LINES = re.compile(
    rf"(?:{_GAP}++(?=[A-Za-z0-9+/_-]{{24}}|(?:[A-Za-z0-9+/_-]|{_ESCAPED}){{24}})[A-Za-z0-9+/_-]*+(?:{_ESCAPED}[A-Za-z0-9+/_-]*+)*+)*+"
)
_LIKE_A_WORD = re.compile(r"(?!(.)\1\1)(?:[A-Z]?[a-z]*(?:-[a-z]+)*|[A-Z]+|[0-9]{1,4})")
_CLOSED_BY = {'"': '"', "'": "'", "(": ")", "<": ">", "`": "`", "[": "]", "“": "”", "（": "）"}
_NOTHING_BUT_BASE64 = re.compile(r"[A-Za-z0-9+/_=\s-]*+")
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
_ANY_EXTENSION = re.compile(r"[a-z][a-z0-9]{1,4}", re.IGNORECASE)
_NO_IMAGES = (
    *(*AUDIO_EXTENSIONS, ".avi", ".m3u8"),
    *(".html", ".htm", ".pdf", ".zip", ".json", ".txt", ".md"),
)
_PROGRESS_LABEL = re.compile(
    r"\d{1,3}\s?%?|数据预览|原始数据|(?:data preview|preview data|(?:raw|source) data)", re.IGNORECASE
)
_DOWNLOAD_STEPS = ("download", "downloads")
_DOWNLOAD_LABEL = re.compile(r"下载|下載|保存|原图|原圖|download|save", re.IGNORECASE)
_PICTURE_LABEL = re.compile(r"图|圖|查看|image|picture|photo|\bview\b", re.IGNORECASE)

_DATA_KEYS = ("b64_json", "data", "image_base64", "base64", "bytes", "result")
_FIELD_KEYS = (
    *("image_url", "imageUrl", "image_urls", "url", "urls", "image", "images", "source", "inline_data", "inlineData"),
    *_DATA_KEYS,
)
_PART_KEYS = ("image_url", "imageUrl", "image", "images", "b64_json", "inline_data", "inlineData")
# Parts that are files of any kind say what they are: Gemini, LangChain and the AI SDK, each in its own words.
_FILE_KEYS = ("file", "file_data", "fileData", "file_uri", "fileUri", "uri")
_KIND_KEYS = ("mime_type", "mimeType", "media_type", "mediaType", "content_type", "contentType", "mime")


class Pictures(list[GeneratedImage]):
    """The pictures of an answer, a list; taking one that is not there raises ``NoImageError``, an ``IndexError``.

    Args:
        images: The pictures.
        said: The answer's text, for the error: a relay that makes no picture mostly says why.
    """

    def __init__(self, images: Iterable[GeneratedImage], said: str) -> None:
        super().__init__(images)
        self._said = said

    @overload
    def __getitem__(self, index: SupportsIndex, /) -> GeneratedImage: ...

    @overload
    def __getitem__(self, index: slice, /) -> list[GeneratedImage]: ...

    def __getitem__(self, index: SupportsIndex | slice, /) -> GeneratedImage | list[GeneratedImage]:
        try:
            return super().__getitem__(index)
        except IndexError:
            said = f"; the relay said: {printable(self._said, 300)}" if self._said else ""
            count = f"{len(self)} pictures" if self else "no picture"
        raise NoImageError(f"the answer holds {count}{said}")

    def __reduce__(self) -> tuple[type[Pictures], tuple[list[GeneratedImage], str]]:
        return Pictures, (list(self), self._said)


class ImageFinder:
    """Finds the pictures in an answer. It pickles, and so do the answers that keep it.

    Args:
        downloads: Fetches the pictures, when they are asked for.
        made: The caller asked for a picture. Then an address without a picture's extension counts as well, if
            nothing better is there and it stands where a picture would: alone on its line, behind a colon, or under
            a label such as "下载". In other answers an address that is merely mentioned is no picture.
        timeout: The limits of each download, the call's own; UNSET leaves those of ``downloads``.
        retry: How often a download is tried again; None leaves that of ``downloads``.
    """

    def __init__(
        self,
        downloads: Downloads,
        made: bool,
        timeout: Timeout | Unset = UNSET,
        retry: RetryPolicy | None = None,
    ) -> None:
        self.downloads = downloads
        self.made = made
        self._timeout = timeout
        self._retry = retry

    def __call__(self, answer: Answer) -> Pictures:
        """Find the pictures, in order of appearance, each one once.

        Looked through are, for each choice: ``message.images``, ``message.image``,
        the parts of a list content, the text; of a chunk all but the text, since
        an address may be cut there; and ``data`` of an answer shaped like the
        images endpoint's. Takes time linear in the size of the answer.

        Args:
            answer: A completion, a chunk, or any answer with ``data: [{url | b64_json}]``.

        The pictures of the images pages are taken as they are listed, one for one.

        Returns:
            What was found; [] when there is no picture.
        """
        downloads = self.downloads.limited(self._timeout, self._retry)
        if isinstance(answer, ImagesResponse | ImageStreamEvent):
            listed = answer.data if isinstance(answer, ImagesResponse) else [answer]
            return Pictures([_listed(downloads, each) for each in listed if each.url or each.b64_json], "")
        found = _Found(downloads)
        texts: list[str] = []
        choices: list[Any] | None = getattr(answer, "choices", None)
        is_chunk = isinstance(answer, ChatCompletionChunk)
        for choice in choices or ():
            delta = choice.delta if is_chunk else None
            for message in (delta, choice.message):
                if message is not None:
                    found.read_message(message)
            if delta is None and choice.message.content:
                texts.append(choice.message.content)
                found.read_text(texts[-1])
        if not choices:
            found.read_field(answer.to_dict().get("data"))
        if not found.images:
            for text in texts:
                found.read_again(text, made=self.made)
        return Pictures(found.images, "\n".join(texts))


def _listed(downloads: Downloads, item: Image | ImageStreamEvent) -> GeneratedImage:
    """Make a picture of what an images page lists: its data where they came, else its address.

    Relays write either into the other's field.
    """
    urls: list[str] = []
    encoded: Base64 | None = None
    for text, is_data in ((item.b64_json, True), (item.url, False)):
        if text is None:
            continue
        start, uri = data_start(text)
        if is_address(text, start):
            urls.insert(0, address_of(text, start))
        elif is_data or uri is not None or Base64(text[start : start + 400]).mime:
            encoded = encoded or Base64(text, start)
        else:
            urls.append(text)
    image = GeneratedImage(downloads, urls[0] if urls else None, encoded=encoded, revised_prompt=item.revised_prompt)
    if len(urls) > 1 and urls[1] != urls[0]:
        image.download_url = urls[1]
    return image


def find_images(answer: Answer, *, made: bool = False) -> Pictures:
    """Find the pictures in an answer that did not come from a client, such as one read from a journal.

    Args:
        answer: As for ``ImageFinder``.
        made: The answer is one to a call for a picture; see ``ImageFinder``.

    Returns:
        The pictures, in order of appearance. They are fetched with the default guards and limits.
    """
    return ImageFinder(Downloads(retry=RetryPolicy()), made)(answer)


class _Mention(NamedTuple):
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


class _Found:
    """The pictures found so far, and what is needed to know one again."""

    def __init__(self, downloads: Downloads) -> None:
        self.images: list[GeneratedImage] = []
        self._downloads = downloads
        self._by_url: dict[str, GeneratedImage] = {}
        self._by_length: dict[int, Base64 | set[bytes]] = {}
        self._without_twin: defaultdict[tuple[str, str], deque[GeneratedImage]] = defaultdict(deque)
        self._for_download: set[str] = set()

    def read_message(self, message: Any) -> None:
        """Take the pictures beside the text of a message or of a chunk's delta."""
        self.read_field(message.images)
        self.read_field(message.image)
        for part in message.parts or ():
            if is_object(part):
                is_image = "image" in str(part.get("type"))
                self.read_field(part if is_image else {key: part[key] for key in _PART_KEYS if key in part})
                self._read_file(part)

    def _read_file(self, part: dict[str, Any]) -> None:
        """Read a part that is a file, if it says that the file is an image."""
        for each in (part, *(part[key] for key in _FILE_KEYS if is_object(part.get(key)))):
            if any(_declares_image(str(each.get(key, ""))) for key in _KIND_KEYS):
                any(self.read_field(each.get(key), is_data=True) for key in (*_FILE_KEYS, *_FIELD_KEYS))

    def read_field(self, value: Any, depth: int = 5, *, is_data: bool = False, prompt: str | None = None) -> bool:
        """Take what stands in a picture's field: an address, a data URI, base64, or a nest of those.

        Returns:
            Whether that is a picture, a known one included.
        """
        if isinstance(value, str):
            return self._read_string(value, is_data=is_data, prompt=prompt)
        if depth and is_list(value):
            taken = [self.read_field(item, depth - 1, prompt=prompt) for item in value]
            return any(taken)
        if depth and is_object(value):
            own = value.get("revised_prompt")
            prompt = own if isinstance(own, str) and own else prompt
            return any(
                self.read_field(value.get(key), depth - 1, is_data=key in _DATA_KEYS, prompt=prompt)
                for key in _FIELD_KEYS
            )
        return False

    def _read_string(self, text: str, *, is_data: bool, prompt: str | None) -> bool:
        text = unwrapped(text)
        start, declared = data_start(text)
        if is_address(text, start):
            url = address_of(text, start)
            if _is_other_media(url):
                return False
            image = self._url(url, prompt=prompt)
        else:
            encoded = Base64(text, start)
            known = is_data if declared is None else _declares_image(declared)
            if not encoded.mime and not (len(encoded) and known):
                return False
            image = self._encoded(encoded, prompt=prompt)
        self.images += [image] if image else []
        return True

    def read_text(self, text: str) -> None:
        """Take the pictures that a text shows or links to beyond doubt."""
        if Base64(text[:200]).mime and _NOTHING_BUT_BASE64.fullmatch(text):
            self._read_string(text, is_data=True, prompt=None)
        elif _may_hold_images(text):
            self._take(_mentions(*_prepare(text)), self._linked)

    def read_again(self, text: str, *, made: bool) -> None:
        """Take what may be a picture, once it is known that nothing else is."""
        if ">" in text:
            self._take(
                (mention for mention in _mentions(*_prepare(text, quoted=True)) if mention.is_image), self._linked
            )
        if made and not self.images:
            self._take(_mentions(*_prepare(text)), self._supposed)
        if made and not self.images:
            # Within code too: who asked for an image, and got nothing else, was not shown how to write one.
            for declared, encoded in _cut_data(text)[1].values():
                self._take([_Mention(0, encoded, declared)], self._linked)

    def _take(self, mentions: Iterable[_Mention], other: Callable[[_Mention], GeneratedImage | None]) -> None:
        """Take the images first, so that links find their twins; then put all in order of appearance."""
        in_order = sorted(mentions, key=lambda mention: not mention.is_image)
        taken = [(mention.start, self._shown(mention) if mention.is_image else other(mention)) for mention in in_order]
        self.images += [image for _, image in sorted(taken, key=lambda pair: pair[0]) if image]

    def _shown(self, mention: _Mention) -> GeneratedImage | None:
        if isinstance(mention.target, Base64):
            is_picture = mention.target.mime or (len(mention.target) and _declares_image(mention.declared))
            return self._encoded(mention.target, alt=mention.label or "") if is_picture else None
        return None if _is_other_media(mention.target) else self._url(mention.target, alt=mention.label or "")

    def _linked(self, mention: _Mention) -> GeneratedImage | None:
        target, label = mention.target, (mention.label or "").strip()
        if isinstance(target, Base64):
            return self._encoded(target) if target.mime else None
        if _PROGRESS_LABEL.fullmatch(label) or not PICTURE_FILE.fullmatch(steps_of(target)[-1]):
            return None
        if mention.holds is not None:
            held = self._by_url.get(mention.holds)
            if held and held.url != target:
                held.download_url = held.download_url or target
                return None
        return self._link(target, label)

    def _supposed(self, mention: _Mention) -> GeneratedImage | None:
        target, label = mention.target, (mention.label or "").strip()
        if isinstance(target, Base64):
            return None
        name = steps_of(target)[-1]
        extension = name.rpartition(".")[2] if "." in name else ""
        stands = (
            mention.alone if mention.label is None else _DOWNLOAD_LABEL.search(label) or _PICTURE_LABEL.search(label)
        )
        return self._link(target, label) if stands and name and not _ANY_EXTENSION.fullmatch(extension) else None

    def _encoded(self, encoded: Base64, *, alt: str = "", prompt: str | None = None) -> GeneratedImage | None:
        """Make a picture of data, unless the same are known. Only data of equal length are looked at twice."""
        known = self._by_length.setdefault(len(encoded), encoded)
        if known is not encoded:
            if isinstance(known, Base64):
                known = self._by_length[len(encoded)] = {known.digest()}
            digest = encoded.digest()
            if digest in known:
                return None
            known.add(digest)
        return GeneratedImage(self._downloads, encoded=encoded, alt=alt, revised_prompt=prompt)

    def _url(self, url: str, *, alt: str = "", prompt: str | None = None) -> GeneratedImage | None:
        """Make a picture of an address, unless it is known."""
        known = self._by_url.get(url)
        if known is not None:
            known.alt = known.alt or alt
            return None
        image = self._by_url[url] = GeneratedImage(self._downloads, url, alt=alt, revised_prompt=prompt)
        for key in _twin_keys(url):
            self._without_twin[key].append(image)
        return image

    def _link(self, url: str, label: str) -> GeneratedImage | None:
        """Make a picture of a link, unless it is the second address of one: relays link a file to view and to keep.

        The twins differ by a step named ``download`` in the path, and may stand
        on different hosts, where only the file's name is the same.
        """
        if url in self._by_url:
            return None
        by_path = any(step.lower() in _DOWNLOAD_STEPS for step in steps_of(url))
        for_download = by_path or _DOWNLOAD_LABEL.search(label) is not None
        for key in _twin_keys(url):
            waiting = self._without_twin[key]
            while waiting and waiting[0].download_url:
                waiting.popleft()
            if waiting and (for_download or waiting[0].url in self._for_download):
                image = self._by_url[url] = waiting[0]
                swap = image.url in self._for_download and not for_download
                image.url, image.download_url = (url, image.url) if swap else (image.url, url)
                return None
        if for_download:
            self._for_download.add(url)
        return self._url(url)


def _may_hold_images(text: str) -> bool:
    return "](" in text or any(word.search(text) for word in (*_DATA, *_HTTP))


def _twin_keys(url: str) -> list[tuple[str, str]]:
    """Name what twins have in common: the path without ``download``, and the file's name without extension."""
    steps = [step for step in steps_of(url) if step.lower() not in _DOWNLOAD_STEPS]
    name = steps[-1] if steps else ""
    return [(kind, key) for kind, key in (("path", "/".join(steps)), ("name", name.rpartition(".")[0] or name)) if key]


def _is_other_media(url: str) -> bool:
    return steps_of(url)[-1].lower().endswith(_NO_IMAGES)


def _declares_image(declared: str) -> bool:
    return declared.lower().startswith("image")


def _unescape(url: str) -> str:
    """Undo what JSON, markdown and HTML do to an address."""
    return re.sub(r"\\([^A-Za-z0-9\s])", r"\1", url.replace("\\u0026", "&")).replace("&amp;", "&")


def _prepare(text: str, *, quoted: bool = False) -> tuple[str, dict[int, tuple[str, Base64]]]:
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
    text, cuts = _shortened(*_cut_data(text))
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


def _cut_data(text: str) -> tuple[str, dict[int, tuple[str, Base64]]]:
    """Cut data URIs out, but for "data:,", so that nothing needs to go through megabytes of base64 again."""
    cuts: dict[int, tuple[str, Base64]] = {}
    pieces: list[str] = []
    at = length = 0
    for place in _places(text, _DATA, _MOST_DATA):
        uri = _DATA_URI.match(text, place) if place >= at else None
        if uri is None:
            continue
        before = text[at : uri.start()]
        start, end, doubts = _extent(text, uri)
        cuts[length + len(before)] = (uri[1], Base64(text, start, end, doubts))
        pieces += (before, _CUT)
        length += len(before) + len(_CUT)
        at = end
    return "".join((*pieces, text[at:])) if cuts else text, cuts


def _places(text: str, words: tuple[re.Pattern[str], ...], most: int) -> list[int]:
    """Find where any of some words stand, in order; for letters of one case that costs next to nothing."""
    found = [place.start() for word in words for place in itertools.islice(word.finditer(text), most)]
    return sorted(found)[:most]


def _shortened(text: str, cuts: dict[int, tuple[str, Base64]]) -> tuple[str, dict[int, tuple[str, Base64]]]:
    """Cut the middle out of a text that is much longer than any answer, but not the data that were cut out of it."""
    if len(text) <= 2 * _MOST_TEXT:
        return text, cuts
    behind = len(text) - _MOST_TEXT
    pieces, length = [text[:_MOST_TEXT]], _MOST_TEXT
    kept: dict[int, tuple[str, Base64]] = {}
    for place, cut in cuts.items():
        if place + len(_CUT) <= _MOST_TEXT:
            kept[place] = cut
        elif place < behind:
            pieces.append(f"\n{_CUT}")
            kept[length + 1] = cut
            length += 1 + len(_CUT)
    pieces.append("\n")
    kept |= {length + 1 + place - behind: cut for place, cut in cuts.items() if place >= behind}
    return "".join((*pieces, text[behind:])), kept


def _extent(text: str, uri: re.Match[str]) -> tuple[int, int, list[int]]:
    """Find where the data of a data URI begin and end.

    What closes it (a quote, a bracket) decides. Where nothing does, the lines of
    base64 that follow belong to it; a last one that could as well be a word of
    the text belongs to it only if the image is not whole without it.

    Returns:
        Where the data begin, where they end, and where they may end already.
    """
    start = _SPACES.match(text, uri.end()).end()  # type: ignore[union-attr]  # It matches the empty text, as all here.
    while again := _DATA_URI.match(text, start):
        start = _SPACES.match(text, again.end()).end()  # type: ignore[union-attr]  # As above.
    run = _RUN.match(text, start).end()  # type: ignore[union-attr]  # As above.
    doubts: list[int] = []
    end = _FILLING.match(text, run).end()  # type: ignore[union-attr]  # As above.
    if end == run:
        end, doubts = _wrapped(text, start, run, run - uri.start())
    closing = _CLOSED_BY.get(text[uri.start() - 1 : uri.start()])
    if closing is not None:
        wide = _ANY_BASE64.match(text, start).end()  # type: ignore[union-attr]  # As above.
        behind = text[wide : wide + 2]
        titled = closing == ")" and behind[:1] in {'"', "'"} and text[wide - 1].isspace()
        if behind.removeprefix("\\").startswith(closing) or titled:
            more = _SPACES.match(text, end).end() < wide  # type: ignore[union-attr]  # As above.
            end, doubts = max(end, wide), [*doubts, end] if more else []
    return start, end, doubts


def _wrapped(text: str, start: int, first: int, first_width: int) -> tuple[int, list[int]]:
    """Find where base64 in lines ends, which nothing closes, from the end of its first line on.

    Args:
        text: What it stands in.
        start: Where it begins.
        first: Where its first line ends.
        first_width: How long that is with what stands before the data.

    Returns:
        Its end, and where it may end already.
    """
    begin, end, _ = _line(text, first)
    width = end - begin
    lines, doubts = first, list[int]()
    if begin > first and width >= _WORD:
        lines = _LINES.match(text, first).end()  # type: ignore[union-attr]  # It matches the empty text, as all here.
    elif begin > first and max(first - start, _NARROW) <= width:
        lines = _narrow_lines(width).match(text, first).end()  # type: ignore[union-attr]  # As above.
    if lines > first:
        *_, last_but_one, last = _SPLIT.split(text[max(first - width, lines - 4096, start) : lines])
        written = len(last)
        last_but_one, last = _LETTER.sub("/", last_but_one), _LETTER.sub("/", last)
        # One longer than those before it may be something else; so may a single one, and what is like a word.
        is_even = lines == end and width in {first - start, first_width}
        is_odd = len(last) > len(last_but_one) or lines == end
        if (is_odd and not is_even) or (len(last) < _WORD and _LIKE_A_WORD.fullmatch(last)):
            doubts = [lines - written]
        filled = _FILLING.match(text, lines).end()  # type: ignore[union-attr]
        if filled > lines:
            return filled, []  # No text goes on like that.
        if len(last) < len(last_but_one) and not doubts:
            return lines, []
    return _last_line(text, lines, doubts, is_first=lines == first)


def _last_line(text: str, lines: int, doubts: list[int], *, is_first: bool) -> tuple[int, list[int]]:
    """Read what follows the lines that are as long as each other; return as ``_wrapped`` does."""
    begin, end, follows = _line(text, lines)
    filled = _FILLING.match(text, end).end()  # type: ignore[union-attr]  # It matches the empty text.
    if begin in {end, lines} or end - begin >= _WORD:
        return lines, doubts
    if filled > end:
        return filled, []
    is_like_a_word = _LIKE_A_WORD.fullmatch(text, begin, end) is not None
    if follows in {":", "@"} or (is_like_a_word and follows not in {"", " ", "\n", "\r", "\t", "\\", "<", "&"}):
        return lines, doubts
    return end, [*doubts, lines] if is_first or is_like_a_word or doubts else []


def _line(text: str, at: int) -> tuple[int, int, str]:
    """Find the next line of base64: where it begins and ends, and the character behind it."""
    begin = _SPACES.match(text, at).end()  # type: ignore[union-attr]  # It matches the empty text.
    end = _RUN.match(text, begin).end()  # type: ignore[union-attr]  # As above.
    return begin, end, text[end : end + 1]


@lru_cache
def _narrow_lines(width: int) -> re.Pattern[str]:
    return re.compile(rf"(?:{_GAP}++[A-Za-z0-9+/_-]{{{width}}}(?![A-Za-z0-9+/_-]))*+")


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


def _mentions(text: str, cuts: dict[int, tuple[str, Base64]]) -> list[_Mention]:
    """Find the addresses and data in a text made ready: markdown first, then what stands bare outside of it."""
    found, spans = _in_markdown(text, cuts)
    text = _blank(text, spans)
    found += [
        _Mention(start, encoded, declared)
        for start, (declared, encoded) in cuts.items()
        if text.startswith(_CUT, start)
    ]
    at = 0
    for place in _places(text, _HTTP, _MOST_LINKS):
        match = _URL.match(text, place) if place >= at else None
        if match is None:
            continue
        at = match.end()
        if _CUT in match[0]:
            continue  # Something was cut out of it.
        url = _without_remark(match[0].rstrip(".,;:!?*_~&"))
        before = text[max(0, match.start() - 16) : match.start()].rstrip(" \t*_~")
        begins = before.endswith(("\n", ":", "：")) or (not before and match.start() < 16)  # noqa: PLR2004  (as above)
        alone = begins and _END_OF_LINE.match(text, match.start() + len(url)) is not None
        found.append(_Mention(match.start(), _unescape(url), alone=alone))
    return found


def _without_remark(url: str) -> str:
    """Remove what stands in brackets behind an address, unless the address is one of a picture's file with it."""
    remark = _BRACKETED.search(url, max(0, len(url) - 202))
    if remark and not PICTURE_FILE.fullmatch(steps_of(url)[-1]):
        bare = url[: remark.start()]
        return bare if PICTURE_FILE.fullmatch(steps_of(bare)[-1]) else url
    return url


def _in_markdown(text: str, cuts: dict[int, tuple[str, Base64]]) -> tuple[list[_Mention], list[tuple[int, int]]]:
    """Find what markdown links to, and where its links stand.

    Source: CommonMark 0.31, sections 6.3 and 6.4, read generously.
    """
    target: str | Base64
    found: list[_Mention] = []
    spans: list[tuple[int, int]] = []
    opened: list[tuple[int, int]] = []
    image = _Mention(-1, "")
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
            if not is_address(target) or _CUT in link[group]:
                declared, target = cuts.get(link.start(group)) or ("", Base64(text, *link.span(group)))
            label = text[inner : min(bracket.start(), inner + _LABEL)]
            holds = image.target if image.start > start and isinstance(image.target, str) else None
            mention = _Mention(start, target, declared, label, text[start] == "!", holds=holds)
            image = mention if mention.is_image else image
            found.append(mention)
    return found, spans

"""The pictures in an answer, wherever the relay hid them: found, fetched safely, saved whole or not at all.

Chat models give pictures back in some fifteen forms: as parts beside the text,
as markdown, as a bare address glued to Chinese text, as base64 of many
megabytes. ``ImageFinder`` knows the forms and what only looks like one (progress
lines, code, videos, the same file linked twice). ``GeneratedImage`` knows how to
get at the bytes. Both are glad not to know the API: nothing here ever calls it,
so a download that fails never makes, and bills, a picture again.
"""

from __future__ import annotations

import binascii
import hashlib
import itertools
import re
from collections import defaultdict, deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, overload
from urllib.parse import unquote

import anyio
import anyio.to_thread

from tutuclient import files
from tutuclient.errors import ImageDownloadError, NoImageError, printable
from tutuclient.transport.downloads import Downloads, must_be_picture, picture_mime, safe_url
from tutuclient.types.answer import is_list, is_object
from tutuclient.types.images import ImagesResponse, ImageStreamEvent

if TYPE_CHECKING:
    import os
    from collections.abc import Awaitable, Callable, Iterable, Iterator
    from pathlib import Path
    from typing import SupportsIndex

    from tutuclient.types import Answer, Image

T = TypeVar("T")

_SLICE = 4 * 48 * 1024  # base64 characters decoded at a time: 144 KiB, some 0.2 ms
_IN_PLACE = 256 * 1024  # base64 characters that may be decoded on the loop
_DIGESTED = 4_000_000  # base64 characters that are hashed for a repr, some ms
_TO_DISK = 1024 * 1024  # bytes gathered before a thread writes them
_LABEL = 1000  # characters of a label or ALT text that are looked at and kept

_RESERVED = re.compile(r"con|prn|aux|nul|com\d|lpt\d", re.IGNORECASE)  # names Windows keeps for itself

_SPACE = re.compile(r"\s*+")

# The forms of a text. Each pattern is possessive or bounded: no text makes one of them look twice at the same stretch.
_DATA_URI = re.compile(
    r"(?<![A-Za-z0-9._~%$&+=@/?#;-])data:([\w.+\\/-]{0,80})(?:;[\w.+-]{1,40}=[\w.+-]{0,80}){0,4};base64,"
)
_BASE64 = re.compile(
    r"[A-Za-z0-9+/_-]*+(?:(?:\\/|%2[BbFf])[A-Za-z0-9+/_-]*+)*+(?:=|%3[Dd]){0,2}+",
)
_NOTHING_BUT_BASE64 = re.compile(r"[A-Za-z0-9+/_=\s-]*+")
_LINE = re.compile(r"^[ \t]*+(?:>|(?P<fence>`{3,}+(?=[^`\n]*+$)|~{3,}+)(?P<info>[^\n]*+))[^\n]*+", re.MULTILINE)
_TICKS = re.compile(r"`++")
_BRACKET = re.compile(r"\\.|!?\[|\]\(?", re.DOTALL)
_TARGET = re.compile(
    r"\s{0,9}+(?:<(?P<angle>[^<>\n]*+)>|(?P<plain>[^\s()<>]*+(?:\([^\s()]*+\)[^\s()<>]*+)*+))"
    r"(?:\s{1,9}+(?:\"[^\"\n]*+\"|'[^'\n]*+'))?+\s{0,9}+\)",
)
_URL = re.compile(
    r"https?:(?:\\?/){2}"
    r"[A-Za-z0-9._~%!$&*+=:@/?#-]*+(?:(?:\\/|\\u0026|[,;](?!http))[A-Za-z0-9._~%!$&*+=:@/?#-]*+)*+",
)
_END_OF_LINE = re.compile(r"[ \t.。!！*_~]{0,9}(?:\n|\r|\Z)")
_PICTURE_FILE = re.compile(
    r"(?P<stem>[^/]*?)\.(?:png|jpe?g|jfif|gif|webp|bmp|tiff?|avif|hei[cf]|ico)(?:[!~@][^/]*)?",
    re.IGNORECASE | re.DOTALL,
)
_ANY_EXTENSION = re.compile(r"[a-z][a-z0-9]{1,4}", re.IGNORECASE)
_OTHER_MEDIA = (
    *(
        ".mp4",
        ".m4v",
        ".mov",
        ".webm",
        ".mkv",
        ".avi",
        ".m3u8",
        ".mp3",
        ".wav",
        ".m4a",
        ".ogg",
        ".opus",
        ".flac",
        ".aac",
    ),
    *(".html", ".htm", ".pdf", ".zip", ".json", ".txt", ".md"),
)
_PROGRESS_LABEL = re.compile(
    r"\d{1,3}\s?%?|数据预览|原始数据|(?:data preview|preview data|(?:raw|source) data)", re.IGNORECASE
)
_DOWNLOAD_STEPS = ("download", "downloads")
_DOWNLOAD_LABEL = re.compile(r"下载|下載|保存|原图|原圖|download|save", re.IGNORECASE)
_PICTURE_LABEL = re.compile(r"图|圖|查看|image|picture|photo|\bview\b", re.IGNORECASE)

_DATA_KEYS = ("b64_json", "data", "image_base64", "base64")
_FIELD_KEYS = ("image_url", "url", "image", "source", "inline_data", "inlineData", *_DATA_KEYS)
_PART_KEYS = ("image_url", "image", "b64_json", "inline_data", "inlineData")


# --- the data -----------------------------------------------------------------------------------------------------


class _Base64:
    """A picture written out within a text. The text is kept, not copied; it is decoded in slices."""

    __slots__ = ("_end", "_start", "_text")

    def __init__(self, text: str, start: int = 0, end: int | None = None) -> None:
        end = len(text) if end is None else end
        if text.find("%", start, end) >= 0:
            text = unquote(text[start:end])
            start, end = 0, len(text)
        while end > start and text[end - 1] in "=\\ \t\r\n":
            end -= 1
        self._text, self._start, self._end = text, start, end

    def __len__(self) -> int:
        return self._end - self._start

    @property
    def size_bytes(self) -> int:
        """How many bytes it decodes to."""
        place = (self._start, self._end)
        noise = sum(self._text.count(mark, *place) for mark in "\\ \t\r\n" if self._text.find(mark, *place) >= 0)
        return (len(self) - noise) * 3 // 4

    @property
    def head(self) -> bytes:
        """The first bytes, or b"" where they do not decode."""
        piece = _alphabet(self._text[self._start : min(self._start + 160, self._end)])[:128]
        with suppress(ValueError):
            return binascii.a2b_base64(piece[: len(piece) // 4 * 4], strict_mode=True)
        return b""

    @property
    def mime(self) -> str | None:
        """What kind of picture its first bytes are, or None."""
        return picture_mime(self.head)

    def slices(self) -> Iterator[bytes]:
        """Decode it, some 144 KiB at a time.

        Raises:
            ValueError: It is no base64, or not all of it.
        """
        rest = ""
        for at in range(self._start, self._end, _SLICE):
            piece = rest + _alphabet(self._text[at : min(at + _SLICE, self._end)])
            whole = len(piece) // 4 * 4
            rest = piece[whole:]
            yield binascii.a2b_base64(piece[:whole], strict_mode=True)
        if rest:
            yield binascii.a2b_base64(rest + "=" * (4 - len(rest)), strict_mode=True)

    def digest(self) -> bytes:
        """Name the text of it, to find the same picture written twice."""
        name = hashlib.sha256()
        for at in range(self._start, self._end, _SLICE):
            name.update(self._text[at : min(at + _SLICE, self._end)].encode("utf-8", "surrogatepass"))
        return name.digest()


def _alphabet(piece: str) -> str:
    """Bring a piece of base64 to the standard alphabet: JSON's escapes, line ends and the URL-safe letters go."""
    piece = piece.replace("\\", "").replace("-", "+").replace("_", "/")
    return "".join(piece.split())


# --- the picture --------------------------------------------------------------------------------------------------


class GeneratedImage:
    """A picture of an answer: its address or its data, and the ways to get at the bytes.

    Nothing is fetched before ``read`` or ``save`` is called, and neither ever
    calls the API. Links of relays expire, often within the hour: save soon.

    Attributes:
        url: Where the picture is, or None when its data came with the answer.
        download_url: A second address of the same file, tried when the first fails, or None.
        alt: What the answer calls it, or "".
        mime: Its type by its first bytes, such as ``image/png``; None until they are here.
        size_bytes: Its size, or None until it is known.
        revised_prompt: The prompt the picture was really made from, or None when the relay does not say.
    """

    def __init__(
        self,
        downloads: Downloads,
        url: str | None = None,
        *,
        encoded: _Base64 | None = None,
        alt: str = "",
        revised_prompt: str | None = None,
    ) -> None:
        self.url = url
        self.download_url: str | None = None
        self.alt = alt
        self.mime = None if encoded is None else encoded.mime
        self.size_bytes = None if encoded is None else encoded.size_bytes
        self.revised_prompt = revised_prompt
        self._downloads = downloads
        self._encoded = encoded
        self._data: bytes | None = None
        self._sha256: str | None = None

    def __repr__(self) -> str:
        shown = [
            f"{name}={safe_url(url)!r}" for name, url in (("url", self.url), ("download_url", self.download_url)) if url
        ]
        if self._encoded is not None:
            shown.append(self._describe(self._encoded))
        if self.alt:
            shown.append(f"alt={printable(self.alt, 40)!r}")
        return f"GeneratedImage({', '.join(shown)})"

    def _describe(self, encoded: _Base64) -> str:
        if self._sha256 is None and len(encoded) > _DIGESTED:
            return f"<{self.mime} {_human(self.size_bytes or 0)}>"  # Hashing more would hold the event loop.
        if self._sha256 is None:
            digest = hashlib.sha256()
            try:
                _decode(encoded, digest.update)
            except ImageDownloadError:
                return "<data that are no picture>"
            self._sha256 = digest.hexdigest()
        return f"<{self.mime} {_human(self.size_bytes or 0)} sha256:{self._sha256[:8]}…>"

    async def read(self) -> bytes:
        """Give the picture's bytes; they are kept, so a second ``read`` costs nothing.

        Raises:
            ImageDownloadError: It could not be fetched, or what came is no picture. The answer stays good, and
                nothing is made again.
        """
        if self._data is None:
            if self._encoded is None:
                data = await self._from_either(self._downloads.fetch)
            elif len(self._encoded) > _IN_PLACE:
                data = await anyio.to_thread.run_sync(_decoded, self._encoded)
            else:
                data = _decoded(self._encoded)
            self.mime, self.size_bytes = picture_mime(data[:64]), len(data)
            self._data = data
        return self._data

    async def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Save the picture, whole or not at all; return where.

        It is written beside its final place under another name and moved there
        when it is complete and on the disk. An existing file is never replaced
        unless ``overwrite`` says so, and never written through a link.

        The extension follows the bytes, since relays send JPEG where PNG was
        asked and programs go by the name: ``sky`` becomes ``sky.png``, and
        ``sky.png`` becomes ``sky.jpg`` when a JPEG came. Go on with the path that
        is returned.

        Args:
            path: The file to write. A folder (one that exists, or a text that ends with "/") gives the picture a
                name of its own within it, and a number where that name is taken.
            overwrite: Replace what stands there.

        Raises:
            ImageDownloadError: The picture could not be fetched or is none; or the folder is missing, the name is
                taken, the disk is full… The message says what to do, ``__cause__`` is the OSError if there was one.
        """
        async with files.writing(path, "the picture", ImageDownloadError, overwrite=overwrite) as part:
            mime = await self._fill(part)
            target = await anyio.to_thread.run_sync(part.publish, mime, _stem(self.url))
        self.mime, self.size_bytes, self._sha256 = mime, part.size_bytes, part.sha256.hexdigest()
        return target

    async def _fill(self, part: files.Part) -> str:
        if self._data is not None:
            await anyio.to_thread.run_sync(part.write, self._data)
            return self.mime or must_be_picture(self._data[:64], "the picture")
        if self._encoded is not None:
            return await anyio.to_thread.run_sync(_decode, self._encoded, part.write)

        async def fetch(url: str) -> str:
            gathered = bytearray()

            async def write(piece: bytes) -> None:
                gathered.extend(piece)
                if len(gathered) >= _TO_DISK:
                    await flush()

            async def flush() -> None:
                await anyio.to_thread.run_sync(part.write, bytes(gathered))
                gathered.clear()

            await anyio.to_thread.run_sync(part.restart)
            mime = await self._downloads.fetch_into(url, write)
            await flush()
            return mime

        return await self._from_either(fetch)

    async def _from_either(self, fetch: Callable[[str], Awaitable[T]]) -> T:
        try:
            return await fetch(self.url or "")
        except ImageDownloadError as error:
            if self.download_url is None:
                raise
            first = error.message
        try:
            return await fetch(self.download_url)
        except ImageDownloadError as error:
            raise ImageDownloadError(f"{first}; and the second link: {error.message}") from None


def _decoded(encoded: _Base64) -> bytes:
    pieces: list[bytes] = []
    _decode(encoded, pieces.append)
    return b"".join(pieces)


def _decode(encoded: _Base64, write: Callable[[bytes], object]) -> str:
    """Decode a picture piece by piece; return its type."""
    shown = "the data in the answer"
    mime = must_be_picture(encoded.head, shown)
    slices = encoded.slices()
    while True:
        try:
            piece = next(slices, None)
        except ValueError:
            raise ImageDownloadError(f"{shown} cannot be decoded: the base64 is damaged or cut off") from None
        if piece is None:
            return mime
        write(piece)


def _human(size: int) -> str:
    if size < 1000:  # noqa: PLR2004  (decimal units)
        return f"{size} B"
    return f"{size / 1e3:.1f} kB" if size < 1e6 else f"{size / 1e6:.1f} MB"  # noqa: PLR2004  (as above)


def _stem(url: str | None) -> str:
    """Make a file's name, without extension, of an address: letters, digits, "-" and "_" of its last step, or ""."""
    name = unquote(_steps(url or "")[-1]).rpartition("/")[2]
    if file := _PICTURE_FILE.fullmatch(name):
        name = file["stem"]
    name = re.sub(r"[^\w-]+", "-", name.encode("utf-8", "ignore").decode())[:60].strip("-_")
    return f"image-{name}" if _RESERVED.fullmatch(name) else name


# --- finding ------------------------------------------------------------------------------------------------------


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
    """

    def __init__(self, downloads: Downloads, made: bool) -> None:
        self.downloads = downloads
        self.made = made

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
        if isinstance(answer, ImagesResponse | ImageStreamEvent):
            listed = answer.data if isinstance(answer, ImagesResponse) else [answer]
            return Pictures([_listed(self.downloads, each) for each in listed if each.url or each.b64_json], "")
        found = _Found(self.downloads)
        texts: list[str] = []
        choices: list[Any] | None = getattr(answer, "choices", None)
        for choice in choices or ():
            delta = getattr(choice, "delta", None)
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
    """Make a picture of what an images page lists: its data where they came, else its address."""
    url, text = item.url, item.b64_json
    if url is not None and url.startswith("data:"):
        url, text = None, text or url
    if text is None:
        return GeneratedImage(downloads, url, revised_prompt=item.revised_prompt)
    uri = _DATA_URI.match(text)
    encoded = _Base64(text, uri.end() if uri else 0)
    return GeneratedImage(downloads, url, encoded=encoded, revised_prompt=item.revised_prompt)


def find_images(answer: Answer, *, made: bool = False) -> Pictures:
    """Find the pictures in an answer that did not come from a client, such as one read from a journal.

    Args:
        answer: As for ``ImageFinder``.
        made: The answer is one to a call for a picture; see ``ImageFinder``.

    Returns:
        The pictures, in order of appearance. They are fetched with the default guards of ``Downloads``.
    """
    return ImageFinder(Downloads(), made)(answer)


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
    target: str | _Base64
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
        self._by_length: dict[int, _Base64 | set[bytes]] = {}
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
        start = _SPACE.match(text).end()  # type: ignore[union-attr]  # It matches the empty text.
        if text.startswith(("http://", "https://"), start):
            url = text.strip()
            if _is_other_media(url):
                return False
            image = self._url(url, prompt=prompt)
        else:
            uri = _DATA_URI.match(text, start)
            encoded = _Base64(text, uri.end() if uri else start)
            if not encoded.mime and not (len(encoded) and (_declares_image(uri[1]) if uri else is_data)):
                return False
            image = self._encoded(encoded, prompt=prompt)
        self.images += [image] if image else []
        return True

    def read_text(self, text: str) -> None:
        """Take the pictures that a text shows or links to beyond doubt."""
        if _Base64(text[:200]).mime and _NOTHING_BUT_BASE64.fullmatch(text):
            self._read_string(text, is_data=True, prompt=None)
        elif "http" in text or "data:" in text or "](" in text:
            self._take(_mentions(*_prepare(text)), self._linked)

    def read_again(self, text: str, *, made: bool) -> None:
        """Take what may be a picture, once it is known that nothing else is."""
        if ">" in text:
            self._take(
                (mention for mention in _mentions(*_prepare(text, quoted=True)) if mention.is_image), self._linked
            )
        if made and not self.images:
            self._take(_mentions(*_prepare(text)), self._supposed)

    def _take(self, mentions: Iterable[_Mention], other: Callable[[_Mention], GeneratedImage | None]) -> None:
        """Take the images first, so that links find their twins; then put all in order of appearance."""
        in_order = sorted(mentions, key=lambda mention: not mention.is_image)
        taken = [(mention.start, self._shown(mention) if mention.is_image else other(mention)) for mention in in_order]
        self.images += [image for _, image in sorted(taken, key=lambda pair: pair[0]) if image]

    def _shown(self, mention: _Mention) -> GeneratedImage | None:
        if isinstance(mention.target, _Base64):
            is_picture = mention.target.mime or (len(mention.target) and _declares_image(mention.declared))
            return self._encoded(mention.target, alt=mention.label or "") if is_picture else None
        return None if _is_other_media(mention.target) else self._url(mention.target, alt=mention.label or "")

    def _linked(self, mention: _Mention) -> GeneratedImage | None:
        target, label = mention.target, (mention.label or "").strip()
        if isinstance(target, _Base64):
            return self._encoded(target) if target.mime else None
        if _PROGRESS_LABEL.fullmatch(label) or not _PICTURE_FILE.fullmatch(_steps(target)[-1]):
            return None
        if mention.holds is not None:
            held = self._by_url.get(mention.holds)
            if held and held.url != target:
                held.download_url = held.download_url or target
                return None
        return self._link(target, label)

    def _supposed(self, mention: _Mention) -> GeneratedImage | None:
        target, label = mention.target, (mention.label or "").strip()
        if isinstance(target, _Base64):
            return None
        name = _steps(target)[-1]
        extension = name.rpartition(".")[2] if "." in name else ""
        stands = (
            mention.alone if mention.label is None else _DOWNLOAD_LABEL.search(label) or _PICTURE_LABEL.search(label)
        )
        return self._link(target, label) if stands and name and not _ANY_EXTENSION.fullmatch(extension) else None

    def _encoded(self, encoded: _Base64, *, alt: str = "", prompt: str | None = None) -> GeneratedImage | None:
        """Make a picture of data, unless the same are known. Only data of equal length are looked at twice."""
        known = self._by_length.setdefault(len(encoded), encoded)
        if known is not encoded:
            if isinstance(known, _Base64):
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
        by_path = any(step.lower() in _DOWNLOAD_STEPS for step in _steps(url))
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


def _twin_keys(url: str) -> list[tuple[str, str]]:
    """Name what twins have in common: the path without ``download``, and the file's name without extension."""
    steps = [step for step in _steps(url) if step.lower() not in _DOWNLOAD_STEPS]
    name = steps[-1] if steps else ""
    return [(kind, key) for kind, key in (("path", "/".join(steps)), ("name", name.rpartition(".")[0] or name)) if key]


def _steps(url: str) -> list[str]:
    """Split the path of an address; query and fragment are no part of it. At least one step, "" if need be."""
    return re.split(r"[?#]", url, maxsplit=1)[0].split("/")[3:] or [""]


def _is_other_media(url: str) -> bool:
    return _steps(url)[-1].lower().endswith(_OTHER_MEDIA)


def _declares_image(declared: str) -> bool:
    return declared.lower().startswith("image")


def _unescape(url: str) -> str:
    """Undo what JSON, markdown and HTML do to an address."""
    return re.sub(r"\\([^A-Za-z0-9\s])", r"\1", url.replace("\\u0026", "&")).replace("&amp;", "&")


def _prepare(text: str, *, quoted: bool = False) -> tuple[str, dict[int, tuple[str, _Base64]]]:
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
    text, cuts = _cut_data(text)
    code, quotes = _inline_code(text), list[tuple[int, int]]()
    fence: re.Match[str] | None = None
    for line in _LINE.finditer(text):
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


def _cut_data(text: str) -> tuple[str, dict[int, tuple[str, _Base64]]]:
    """Cut the data out of data URIs, so that nothing needs to go through megabytes of base64 again."""
    cuts: dict[int, tuple[str, _Base64]] = {}
    pieces: list[str] = []
    at = length = 0
    while uri := _DATA_URI.search(text, at):
        end = _BASE64.match(text, uri.end()).end()  # type: ignore[union-attr]  # It matches the empty text.
        cuts[length + uri.start() - at] = (uri[1], _Base64(text, uri.end(), end))
        pieces.append(text[at : uri.end()])
        length += uri.end() - at
        at = end
    return "".join((*pieces, text[at:])) if cuts else text, cuts


def _inline_code(text: str) -> list[tuple[int, int]]:
    """Find the code spans: from a run of backticks to the next one as long, on the same line.

    Source: CommonMark 0.31, section 6.1, but for spans over several lines.
    """
    runs = [run.span() for run in _TICKS.finditer(text)]
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


def _mentions(text: str, cuts: dict[int, tuple[str, _Base64]]) -> list[_Mention]:
    """Find the addresses and data in a text made ready: markdown first, then what stands bare outside of it."""
    found, spans = _in_markdown(text, cuts)
    text = _blank(text, spans)
    found += [
        _Mention(start, encoded, declared)
        for start, (declared, encoded) in cuts.items()
        if text.startswith("data:", start)
    ]
    for match in _URL.finditer(text):
        if _DATA_URI.search(match[0]):
            continue  # Something was cut out of it.
        url = match[0].rstrip(".,;:!?*_~&")
        before = text[max(0, match.start() - 16) : match.start()].rstrip(" \t*_~")
        begins = before.endswith(("\n", ":", "：")) or (not before and match.start() < 16)  # noqa: PLR2004  (as above)
        alone = begins and _END_OF_LINE.match(text, match.start() + len(url)) is not None
        found.append(_Mention(match.start(), _unescape(url), alone=alone))
    return found


def _in_markdown(text: str, cuts: dict[int, tuple[str, _Base64]]) -> tuple[list[_Mention], list[tuple[int, int]]]:
    """Find what markdown links to, and where its links stand.

    Source: CommonMark 0.31, sections 6.3 and 6.4, read generously.
    """
    target: str | _Base64
    found: list[_Mention] = []
    spans: list[tuple[int, int]] = []
    opened: list[tuple[int, int]] = []
    image = _Mention(-1, "")
    at = 0
    while bracket := _BRACKET.search(text, at):
        at = bracket.end()
        if bracket[0].endswith("["):
            opened.append(bracket.span())
        elif bracket[0].startswith("]") and opened:
            start, inner = opened.pop()
            link = _TARGET.match(text, at) if bracket[0] == "](" else None
            if link is None:
                continue
            at = link.end()
            spans.append((start, at))
            group = "plain" if link["angle"] is None else "angle"
            declared, target = "", _unescape(link[group])
            if not target.startswith(("http://", "https://")) or _DATA_URI.search(link[group]):
                declared, target = cuts.get(link.start(group)) or ("", _Base64(text, *link.span(group)))
            label = text[inner : min(bracket.start(), inner + _LABEL)]
            holds = image.target if image.start > start and isinstance(image.target, str) else None
            mention = _Mention(start, target, declared, label, text[start] == "!", holds=holds)
            image = mention if mention.is_image else image
            found.append(mention)
    return found, spans

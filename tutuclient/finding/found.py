"""The images of one answer: read from fields and texts, each taken once, and the two links of a file joined."""

from __future__ import annotations

import re
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any

from tutuclient.finding.data_uris import cut_data
from tutuclient.finding.text import Mention, may_hold_images, mentions, prepare
from tutuclient.media.addresses import PICTURE_FILE, steps_of
from tutuclient.media.encoded import Base64
from tutuclient.media.image import GeneratedImage
from tutuclient.media.kinds import AUDIO_EXTENSIONS
from tutuclient.types.base import is_list, is_object
from tutuclient.types.images import address_of, data_start, is_address, unwrapped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tutuclient.downloads.fetch import Downloads

_NOTHING_BUT_BASE64 = re.compile(r"[A-Za-z0-9+/_=\s-]*+")
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


class Found:
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
        elif may_hold_images(text):
            self._take(mentions(*prepare(text)), self._linked)

    def read_again(self, text: str, *, made: bool) -> None:
        """Take what may be a picture, once it is known that nothing else is."""
        if ">" in text:
            self._take((mention for mention in mentions(*prepare(text, quoted=True)) if mention.is_image), self._linked)
        if made and not self.images:
            self._take(mentions(*prepare(text)), self._supposed)
        if made and not self.images:
            # Within code too: who asked for an image, and got nothing else, was not shown how to write one.
            for declared, encoded in cut_data(text)[1].values():
                self._take([Mention(0, encoded, declared)], self._linked)

    def _take(self, mentions: Iterable[Mention], other: Callable[[Mention], GeneratedImage | None]) -> None:
        """Take the images first, so that links find their twins; then put all in order of appearance."""
        in_order = sorted(mentions, key=lambda mention: not mention.is_image)
        taken = [(mention.start, self._shown(mention) if mention.is_image else other(mention)) for mention in in_order]
        self.images += [image for _, image in sorted(taken, key=lambda pair: pair[0]) if image]

    def _shown(self, mention: Mention) -> GeneratedImage | None:
        if isinstance(mention.target, Base64):
            is_picture = mention.target.mime or (len(mention.target) and _declares_image(mention.declared))
            return self._encoded(mention.target, alt=mention.label or "") if is_picture else None
        return None if _is_other_media(mention.target) else self._url(mention.target, alt=mention.label or "")

    def _linked(self, mention: Mention) -> GeneratedImage | None:
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

    def _supposed(self, mention: Mention) -> GeneratedImage | None:
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


def _twin_keys(url: str) -> list[tuple[str, str]]:
    """Name what twins have in common: the path without ``download``, and the file's name without extension."""
    steps = [step for step in steps_of(url) if step.lower() not in _DOWNLOAD_STEPS]
    name = steps[-1] if steps else ""
    return [(kind, key) for kind, key in (("path", "/".join(steps)), ("name", name.rpartition(".")[0] or name)) if key]


def _is_other_media(url: str) -> bool:
    return steps_of(url)[-1].lower().endswith(_NO_IMAGES)


def _declares_image(declared: str) -> bool:
    return declared.lower().startswith("image")

"""Collecting the images of one answer from its fields and texts, each image once, with both addresses of its file."""

from __future__ import annotations

import re
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any

from tutuclient.finding.data_uris import cut_data
from tutuclient.finding.text import Mention, may_hold_images, mentions, prepare
from tutuclient.media.addresses import IMAGE_FILE, segments_of
from tutuclient.media.encoded import Base64
from tutuclient.media.image import GeneratedImage
from tutuclient.media.kinds import AUDIO_EXTENSIONS
from tutuclient.types.images import address_of, data_start, is_address, unwrapped
from tutuclient.types.json import is_list, is_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tutuclient.downloads.fetch import Downloads

_NOTHING_BUT_BASE64 = re.compile(r"[A-Za-z0-9+/_=\s-]*+")
_ANY_EXTENSION = re.compile(r"[a-z][a-z0-9]{1,4}", re.IGNORECASE)
_OTHER_EXTENSIONS = (
    *(*AUDIO_EXTENSIONS, ".avi", ".m3u8"),
    *(".html", ".htm", ".pdf", ".zip", ".json", ".txt", ".md"),
)
# Sources of the labels: .github/WIRE.md, sections 2.2 and 2.3.
_PROGRESS_LABEL = re.compile(
    r"\d{1,3}\s?%?|数据预览|原始数据|(?:data preview|preview data|(?:raw|source) data)", re.IGNORECASE
)
_DOWNLOAD_SEGMENTS = ("download", "downloads")
_DOWNLOAD_LABEL = re.compile(r"下载|下載|保存|原图|原圖|download|save", re.IGNORECASE)
_IMAGE_LABEL = re.compile(r"图|圖|查看|image|picture|photo|\bview\b", re.IGNORECASE)
_DATA_KEYS = ("b64_json", "data", "image_base64", "base64", "bytes", "result")
_FIELD_KEYS = (
    *("image_url", "imageUrl", "image_urls", "url", "urls", "image", "images", "source", "inline_data", "inlineData"),
    *_DATA_KEYS,
)
_PART_KEYS = ("image_url", "imageUrl", "image", "images", "b64_json", "inline_data", "inlineData")
# Parts for files of any kind name their type: Gemini, LangChain and the AI SDK, each with keys of its own.
_FILE_KEYS = ("file", "file_data", "fileData", "file_uri", "fileUri", "uri")
_KIND_KEYS = ("mime_type", "mimeType", "media_type", "mediaType", "content_type", "contentType", "mime")


class Found:
    """The images found so far, and what is needed to recognize one that is there twice."""

    def __init__(self, downloads: Downloads) -> None:
        self.images: list[GeneratedImage] = []
        self._downloads = downloads
        self._by_url: dict[str, GeneratedImage] = {}
        self._by_length: dict[int, Base64 | set[bytes]] = {}
        self._with_one_address: defaultdict[tuple[str, str], deque[GeneratedImage]] = defaultdict(deque)
        self._for_download: set[str] = set()

    def read_message(self, message: Any) -> None:
        """Read the images beside the text of a message or of a chunk's delta."""
        # In this order (WIRE.md 2.2): what a relay lists as an image comes before what only stands in the text.
        self.read_field(message.images)
        self.read_field(message.image)
        for part in message.parts or ():
            if is_object(part):
                is_image = "image" in str(part.get("type"))
                self.read_field(part if is_image else {key: part[key] for key in _PART_KEYS if key in part})
                self._read_file(part)

    def _read_file(self, part: dict[str, Any]) -> None:
        """Read a part for a file, if it names the type of an image."""
        for each in (part, *(part[key] for key in _FILE_KEYS if is_object(part.get(key)))):
            if any(_declares_image(str(each.get(key, ""))) for key in _KIND_KEYS):
                # Called for its effect; the first field that holds an image ends the search.
                any(self.read_field(each.get(key), is_data=True) for key in (*_FILE_KEYS, *_FIELD_KEYS))

    def read_field(self, value: Any, depth: int = 5, *, is_data: bool = False, prompt: str | None = None) -> bool:
        """Read a field for images: an address, a data URI, base64 (``is_data``), or lists and objects of those.

        Return whether it is an image, one that is known already included. ``prompt`` is what the image was made from,
        where the level above names it.
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
        # Base64 comes bare too, without the head of a data URI (WIRE.md 2.2, form 15).
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
        """Read the images that a text certainly shows or links to."""
        # The beginning tells whether it is an image, so that a long text is matched only when it may be one.
        if Base64(text[:200]).mime and _NOTHING_BUT_BASE64.fullmatch(text):
            self._read_string(text, is_data=True, prompt=None)
        elif may_hold_images(text):
            self._add(mentions(*prepare(text)), self._certain)

    def read_again(self, text: str, *, made: bool) -> None:
        """Read what may be an image, for an answer in which nothing else is."""
        # Lines of progress are quotes, and hold drafts and links to a job's log (WIRE.md 2.3, rules 1 and 3): only
        # markdown's images among them count, and only where there is nothing else.
        if ">" in text:
            self._add((mention for mention in mentions(*prepare(text, quoted=True)) if mention.is_image), self._certain)
        if made and not self.images:
            self._add(mentions(*prepare(text)), self._guessed)
        if made and not self.images:
            # In code too: to whoever ordered an image, and got nothing else, it is not an example of how to write one.
            for declared, encoded in cut_data(text)[1].values():
                self._add([Mention(0, encoded, declared)], self._certain)

    def _add(self, mentions: Iterable[Mention], other: Callable[[Mention], GeneratedImage | None]) -> None:
        """Add markdown's images first, so that links to the same files are recognized; then sort by appearance."""
        in_order = sorted(mentions, key=lambda mention: not mention.is_image)
        taken = [(mention.start, self._shown(mention) if mention.is_image else other(mention)) for mention in in_order]
        self.images += [image for _, image in sorted(taken, key=lambda pair: pair[0]) if image]

    def _shown(self, mention: Mention) -> GeneratedImage | None:
        if isinstance(mention.target, Base64):
            is_shown = mention.target.mime or (len(mention.target) and _declares_image(mention.declared))
            return self._encoded(mention.target, alt=mention.label or "") if is_shown else None
        return None if _is_other_media(mention.target) else self._url(mention.target, alt=mention.label or "")

    def _certain(self, mention: Mention) -> GeneratedImage | None:
        target, label = mention.target, (mention.label or "").strip()
        if isinstance(target, Base64):
            return self._encoded(target) if target.mime else None
        # "[100](…)", "[原始数据](…)": links of a job's log, to what is not the result (WIRE.md 2.3, rule 3).
        if _PROGRESS_LABEL.fullmatch(label) or not IMAGE_FILE.fullmatch(segments_of(target)[-1]):
            return None
        # "[![…](small)](large)": the link around an image is its second address, and not another image.
        if mention.image_within is not None:
            within = self._by_url.get(mention.image_within)
            if within and within.url != target:
                within.download_url = within.download_url or target
                return None
        return self._link(target, label)

    def _guessed(self, mention: Mention) -> GeneratedImage | None:
        target, label = mention.target, (mention.label or "").strip()
        if isinstance(target, Base64):
            return None
        name = segments_of(target)[-1]
        extension = name.rpartition(".")[2] if "." in name else ""
        is_likely = (
            mention.alone if mention.label is None else _DOWNLOAD_LABEL.search(label) or _IMAGE_LABEL.search(label)
        )
        return self._link(target, label) if is_likely and name and not _ANY_EXTENSION.fullmatch(extension) else None

    def _encoded(self, encoded: Base64, *, alt: str = "", prompt: str | None = None) -> GeneratedImage | None:
        """Return the image of some data, or None if it is known already. Only data of equal length is hashed."""
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
        """Return the image of an address, or None if it is known already."""
        known = self._by_url.get(url)
        if known is not None:
            known.alt = known.alt or alt
            return None
        image = self._by_url[url] = GeneratedImage(self._downloads, url, alt=alt, revised_prompt=prompt)
        for key in _keys_of_file(url):
            self._with_one_address[key].append(image)
        return image

    def _link(self, url: str, label: str) -> GeneratedImage | None:
        """Return the image of a link, or None if it is known, or is the second address of a known one.

        Relays link a file twice, to view it and to download it. The two addresses
        differ by a segment named ``download`` in the path; on different hosts they
        have nothing in common but the file's name.
        """
        if url in self._by_url:
            return None
        # "/cdn/…" and "/cdn/download/…" are one file (WIRE.md 2.3, rule 4).
        by_path = any(segment.lower() in _DOWNLOAD_SEGMENTS for segment in segments_of(url))
        for_download = by_path or _DOWNLOAD_LABEL.search(label) is not None
        for key in _keys_of_file(url):
            waiting = self._with_one_address[key]
            while waiting and waiting[0].download_url:
                waiting.popleft()
            if waiting and (for_download or waiting[0].url in self._for_download):
                image = self._by_url[url] = waiting[0]
                # The two may come in either order; ``url`` is the one to view.
                swap = image.url in self._for_download and not for_download
                image.url, image.download_url = (url, image.url) if swap else (image.url, url)
                return None
        if for_download:
            self._for_download.add(url)
        return self._url(url)


def _keys_of_file(url: str) -> list[tuple[str, str]]:
    """Return what both addresses of a file have in common: path without ``download``, name without extension."""
    segments = [segment for segment in segments_of(url) if segment.lower() not in _DOWNLOAD_SEGMENTS]
    name = segments[-1] if segments else ""
    return [
        (kind, key) for kind, key in (("path", "/".join(segments)), ("name", name.rpartition(".")[0] or name)) if key
    ]


def _is_other_media(url: str) -> bool:
    return segments_of(url)[-1].lower().endswith(_OTHER_EXTENSIONS)


def _declares_image(declared: str) -> bool:
    return declared.lower().startswith("image")

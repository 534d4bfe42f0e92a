"""The items of a run: what people hold, read into a call, a name, and a digest of all that its answer depends on."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import io
import json
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast

import msgspec

from tutuclient._threads import in_thread
from tutuclient.batch.lines import encodable
from tutuclient.errors import ConfigError, MediaError, printable
from tutuclient.media.parts import ImagePart
from tutuclient.media.remote import VERSIONS, is_remote, waiting_file
from tutuclient.media.upload import Upload, shown_image
from tutuclient.wire.keywords import is_any

if TYPE_CHECKING:
    from collections.abc import Sequence

Task: TypeAlias = Literal["ask", "edit", "generate"]
Look: TypeAlias = Callable[[str], str]

_DIGEST_BYTES: Final = 8
_LONGEST_ID: Final = 200
# A thread is worth it from here on: this much is digested in half a millisecond.
_LARGE_BYTES: Final = 512 * 1024
_PIECE_BYTES: Final = 2**20
# Of a call, and not of its answer: headers may be secret, and a deadline changes nothing that is written down.
UNWRITTEN: Final = frozenset({"extra_headers", "extra_query", "timeout"})
_OWN: Final = frozenset({"id", "image", "images", "prompt", "messages"})
_OF_THE_RUN: Final = frozenset({"response_format", "stream"})
_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+")


@dataclass(slots=True)
class Item:
    """One item, ready to be called.

    Attributes:
        index: Its place among the items, from 0.
        id: Its name.
        key: A digest of all that its answer depends on.
        sources: Its images.
        prompt: What to ask, or to draw.
        messages: A conversation in place of images and a prompt.
        fields: Fields of its own.
        fault: Why it cannot be sent.
        own: Whether its id is the caller's own.
        equal: A digest of what its answer depends on but its name, where equal items are asked once; else 0.
    """

    index: int
    id: str
    key: int
    sources: list[Any]
    prompt: str | None
    messages: list[Any] | None
    fields: dict[str, Any]
    fault: Exception | None = None
    own: bool = False
    equal: int = 0


class Reader:
    """Reads whatever people hold into items.

    Args:
        task: What the run does with each.
        prompt: The prompt of items that have none of their own.
        shared: What all answers depend on besides: model, schema, fields.
        keyed: Whether items need their keys; without a journal they do not, and files are not looked at.
    """

    def __init__(self, task: Task, prompt: str | None, shared: Mapping[str, Any], *, keyed: bool = True) -> None:
        self._task = task
        self._keyed = keyed
        self._prompt = prompt
        self._shared = digest(dict(shared))

    def follow(self, config: Mapping[str, Any]) -> None:
        """Build the keys with what all answers depend on as a run's folder has it: task, prompt, and ``shared``."""
        self._shared = digest({name: value for name, value in config.items() if name not in {"task", "prompt"}})

    def read(self, given: Any, index: int) -> Item:
        """Return an item. One that cannot be sent has its ``fault``: it is no reason to stop the others.

        Args:
            given: An image in any form that ``image`` takes, an open file of fsspec, a dict of Hugging Face's
                ``datasets`` (``bytes``, ``path``), a list of messages, a dict (``image`` or ``images``, ``prompt``,
                ``messages``, ``id``, any field of the request), or a pair of an id and one of these. Where the run
                generates images, a text is a prompt.
            index: Its place.
        """
        return self._named(self._parsed(given, index))

    async def read_aside(self, given: Any, index: int) -> Item:
        """Return an item as ``read`` does, with the event loop free while much has to be digested for it."""
        item = self._parsed(given, index)
        if item.fault is None and (self._keyed or not item.id):
            shown = [item.sources, item.messages, item.fields]
            if sum(map(bytes_to_digest, shown)) > _LARGE_BYTES:
                heavy = any(hasattr(source, "tobytes") for source in item.sources)  # Pixels may have to be decoded.
                return await in_thread(self._named, item, abandon_on_cancel=True, heavy=heavy)
        return self._named(item)

    def _parsed(self, given: Any, index: int) -> Item:
        """Return an item without its key, and without an id where only a digest can name it."""
        try:
            return self._parse(given, index)
        except Exception as error:  # noqa: BLE001  (what callers wrote)
            return _faulty(index, error, _own_name(given))

    def _parse(self, given: Any, index: int) -> Item:
        name: Any = None
        if is_any(given, tuple) and len(given) == 2:  # noqa: PLR2004  (id, source)
            name, given = given
            if not isinstance(name, str):
                raise ConfigError(f"item {index}: the first of a pair is its id, a text; got {type(name).__name__}")
        fields: dict[str, Any] = {}
        sources: list[Any] = []
        messages: Any = None
        prompt: Any = self._prompt
        if is_any(given, Mapping) and not _OWN.isdisjoint(given):
            fields = {**given}
            name = fields.pop("id", name)
            prompt = fields.pop("prompt", prompt)
            messages = fields.pop("messages", None)
            sources = _several(fields.pop("images", [])) + _several(fields.pop("image", []))
        elif is_any(given, list):
            messages = given
        elif self._task == "generate":
            prompt = given
        else:
            sources = [given]
        self._check(index, name, sources, prompt, messages, fields)
        found = name or _name(sources) or ""
        return Item(index, found, 0, sources, prompt, messages, fields, own=name is not None)

    def _named(self, item: Item) -> Item:
        """Complete an item: its key, and its id where only a digest can name it. May read files and pixels."""
        if item.fault is not None or (item.id and not self._keyed):
            item.id = encodable(item.id)
            return item
        try:
            parts = [identity(source) for source in item.sources]
            found = item.id or f"{digest(parts, item.prompt, item.messages):016x}"
            own = {name: value for name, value in item.fields.items() if name not in UNWRITTEN}
            key = digest(self._task, found, parts, item.prompt, item.messages, own, self._shared)
        except Exception as error:  # noqa: BLE001  (files that vanish, images that cannot be decoded)
            item.id, item.fault = encodable(item.id or f"item {item.index}"), error
            return item
        item.id, item.key = encodable(found), key
        return item

    def content(self, item: Item) -> int:
        """Return a digest of what an item's answer depends on but its name, with files by what is in them.

        It is 0 where that cannot be told without losing it, as of a file that can be read once, or not at all.
        """
        try:
            parts = [identity(source, content_of_name) for source in item.sources]
            own = {name: value for name, value in item.fields.items() if name not in UNWRITTEN}
            rest = item.prompt, item.messages, own, self._shared
            return digest(self._task, parts, *rest, look=content_of_name)
        except Exception:  # noqa: BLE001  (files that are not there, images that cannot be decoded: the call says it)
            return 0

    def _check(
        self, index: int, name: Any, sources: Sequence[Any], prompt: Any, messages: Any, fields: Mapping[str, Any]
    ) -> None:
        if name is not None and not (isinstance(name, str) and name):
            raise ConfigError(f"item {index}: its id has to be a text, and not empty; got {printable(repr(name), 80)}")
        for field in _OF_THE_RUN & fields.keys():
            raise ConfigError(f"item {index}: {field} is the same for the whole run: map(…, {field}=…)")
        for source in sources:
            if hasattr(cast("Any", type(source)), "dtype"):  # Of numpy, and of all that is made after it.
                kind = type(source).__name__
                raise MediaError(
                    f"item {index}: a {kind} is no image, and PIL.Image.fromarray(…) makes one of an array"
                )
        if messages is not None:
            if self._task != "ask" or sources:
                raise ConfigError(f"item {index}: messages have their images in them, and are for questions")
            return
        if not isinstance(prompt, str) or not prompt.strip():
            raise ConfigError(f"item {index} has no prompt: give one to map(…), or a dict with 'prompt' as the item")
        if not sources and self._task != "generate":
            raise ConfigError(f"item {index} has no image: an item is an image, a list of messages or a dict with one")
        if sources and self._task == "generate":
            raise ConfigError(f"item {index} has an image, and generate= makes images from words: use edit=True")


def _faulty(index: int, error: Exception, name: str | None) -> Item:
    return Item(index, name or f"item {index}", 0, [], None, None, {}, error, own=name is not None)


def _own_name(given: Any) -> str | None:
    """Return the id that the caller has given an item, also where the rest of it is of no use; None without one."""
    name = None
    with contextlib.suppress(Exception):  # What callers wrote may raise whatever is asked of it.
        if is_any(given, tuple) and len(given) == 2:  # noqa: PLR2004  (id, source)
            name, given = given
        if is_any(given, Mapping):
            name = given.get("id", name)
    return name if isinstance(name, str) and name else None


def digest_of_id(name: str) -> int:
    """Return a digest of 64 bits of an item's id. ``digest`` would do; this is for every item, and quicker."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=_DIGEST_BYTES).digest(), "big")


def digest(*parts: Any, look: Look | None = None) -> int:
    """Return a digest of 64 bits, the same in every process.

    Args:
        parts: What is digested.
        look: What stands for a file by its name: its state, unless told otherwise.
    """
    hashed = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for part in parts:
        data: bytes | memoryview[int] = part if is_any(part, bytes, memoryview) else _encoded(part, look)
        hashed.update(len(data).to_bytes(8, "big"))
        hashed.update(data)
    return int.from_bytes(hashed.digest(), "big")


def _encoded(part: Any, look: Look | None) -> bytes:
    if part is None or part == {} or type(part) is str:  # As nearly all parts are: the same bytes by a shorter way.
        with contextlib.suppress(UnicodeEncodeError):
            return msgspec.json.encode(part)
    # By way of plain values: the encoder sorts no keys that are not text, such as those of ``logit_bias``.
    hook = partial(_plain, look=look or state_of_name)
    plain = msgspec.to_builtins(part, enc_hook=hook, str_keys=True, order="deterministic")
    try:
        return msgspec.json.encode(plain, order="deterministic")
    except (UnicodeEncodeError, OverflowError):  # Names of files that are not UTF-8, numbers beyond 64 bits.
        return json.dumps(plain, sort_keys=True).encode()


def bytes_to_digest(value: Any) -> float:
    """Return how many bytes its digest reads, as far as that can be told at once; files by their names are not read."""
    size: float = 0
    if is_remote(value):
        size = math.inf
    elif is_any(value, str, bytes, bytearray):
        size = len(value)
    elif is_any(value, memoryview):
        size = value.nbytes
    elif is_any(value, Mapping):
        size = sum(map(bytes_to_digest, value.values()))
    elif is_any(value, list, tuple):
        size = sum(map(bytes_to_digest, value))
    elif isinstance(value, Upload):
        size = bytes_to_digest(value.__getstate__())
    elif isinstance(value, msgspec.Struct):  # Messages, and their parts.
        size = bytes_to_digest(msgspec.structs.asdict(value))
    elif not is_any(value, os.PathLike) and any(hasattr(value, name) for name in ("read", "tobytes", "fs")):
        size = math.inf  # Disks may be slow, pixels not decoded yet, and what fsspec opens far away.
    return size


def identity(source: Any, look: Look | None = None) -> str:
    """Return what tells an image from another under its name: size and time of a file, a digest of bytes.

    Args:
        source: The image.
        look: What stands for a file by its name, as for ``digest``.
    """
    look = look or state_of_name
    source = bare(source)
    if is_any(source, str, os.PathLike):
        return f"{source} {_version(waiting_file(source))}" if is_remote(source) else look(_path(source))
    if is_any(source, ImagePart, Mapping) and (shown := shown_image(source)) is not None:
        return f"{identity(shown[0], look)} {shown[1]}"
    if callable(getattr(source, "read", None)):
        return _content_of_file(source) if look is content_of_name else _state_of_file(source)
    if (data := _data(source, look)) is not None:
        return f"{digest(data, look=look):016x}"
    if isinstance(path := getattr(source, "path", None), str):  # Of a file of fsspec's that is not open yet.
        return f"{path} {_version(source)}"
    return str(_plain(source, look))


def bare(source: Any) -> Any:
    """Return the image of a row of Hugging Face's ``datasets``: its bytes, else its path. All else stays as it is."""
    if is_any(source, Mapping) and not {"bytes", "path"}.isdisjoint(source):
        return source.get("path") if source.get("bytes") is None else source["bytes"]
    return source


async def loaded(source: Any) -> Any:
    """Return what ``image`` takes of what it does not: a row of ``datasets``, or a file of fsspec's not open yet.

    Raises:
        MediaError: It cannot be read; nothing was sent.
    """
    found = bare(source)
    if not (callable(getattr(found, "open", None)) and hasattr(found, "fs")):
        return found
    try:
        return await in_thread(_read_all, found, opens=True)
    except MediaError:
        raise
    except Exception as error:  # Any store's own.
        why = printable(str(error) or type(error).__name__, 200)
        raise MediaError(f"{printable(str(found.path), 120)} cannot be read: {why}") from error


def _read_all(file: Any) -> bytes:
    with file as opened:
        data: bytes | str = opened.read()
    if isinstance(data, str):
        raise MediaError(f"{printable(str(file.path), 120)} is open in text mode, and its bytes are needed: mode='rb'")
    return data


def _data(source: Any, look: Look) -> Any:
    """Return what a source in memory consists of, for its digest; None when it is not in memory."""
    if is_any(source, bytes, bytearray, memoryview):
        view: memoryview[int] = memoryview(source)
        return view.cast("B") if view.c_contiguous else view.tobytes()
    if isinstance(source, Upload):  # What it is pickled as is all that it depends on.
        return {name: identity(part, look) for name, part in source.__getstate__().items()}
    if callable(getattr(source, "tobytes", None)):  # A Pillow image.
        return [*_looks(source), *_pixels(source)]
    return None


def _looks(picture: Any) -> list[Any]:
    """Return what a Pillow image is sent by besides its pixels: palette, transparency, orientation, profile."""
    if callable(load := getattr(picture, "load", None)):
        load()
    palette = getattr(picture, "palette", None)
    info = {str(name): value for name, value in getattr(picture, "info", {}).items()}
    form = getattr(picture, "format", None) in {"JPEG", "MPO"}
    colours = None if palette is None else picture.getpalette(None)
    return [getattr(picture, "mode", ""), getattr(picture, "size", ""), form, colours, info]


def _pixels(picture: Any) -> list[str]:
    """Return digests of a Pillow image's pixels, a strip at a time: ``tobytes`` of all holds the interpreter lock."""
    if not hasattr(picture, "crop"):
        return [f"{digest(picture.tobytes()):016x}"]
    width, height = picture.size
    rows = max(1, _PIECE_BYTES // (4 * max(1, width)))
    strips = ((0, top, width, min(top + rows, height)) for top in range(0, height, rows))
    return [f"{digest(picture.crop(strip).tobytes()):016x}" for strip in strips]


def state_of_name(name: str) -> str:
    """Return what stands for a file without opening it: its name, size and time. An address is itself."""
    if _is_address(name):
        return name if len(name) <= _LONGEST_ID else f"{digest(name):016x}"
    try:
        # Once for each item: pathlib would take three times as long.
        status = os.stat(os.path.expanduser(name) if name.startswith("~") else name)  # noqa: PTH111, PTH116
    except (OSError, ValueError, RuntimeError):
        return name  # It cannot be read, which the call says better.
    return f"{name} {status.st_size} {status.st_mtime_ns}"


def content_of_name(name: str) -> str:
    """Return what stands for what is in a file, as ``digest`` has it of its bytes. An address is itself.

    Raises:
        OSError: It cannot be read.
    """
    if _is_address(name):
        return state_of_name(name)
    with Path(name).expanduser().open("rb") as file:
        return _content_of_file(file)


def _is_address(name: str) -> bool:
    return name.startswith(("http://", "https://", "data:"))


def _state_of_file(file: Any) -> str:
    if isinstance(name := getattr(file, "name", None), str) and name:
        return state_of_name(name)
    if hasattr(file, "fs") and (state := _version(file)):
        return f"{file.path} {state}"
    if callable(seekable := getattr(file, "seekable", None)) and seekable():
        return _content_of_file(file)
    return ""  # It can be read once, by the call: its id has to tell it from others.


def _content_of_file(file: Any) -> str:
    """Return a digest of what a file holds from where it stands, and leave it there."""
    if inspect.iscoroutinefunction(file.read):
        raise io.UnsupportedOperation("only a running loop reads it")
    at = file.tell()
    file.seek(0, os.SEEK_END)
    size = file.tell() - at
    try:
        file.seek(at)
        hashed = hashlib.blake2b(size.to_bytes(8, "big"), digest_size=_DIGEST_BYTES)
        while piece := file.read(_PIECE_BYTES):
            hashed.update(piece)
            size -= len(piece)
    finally:
        file.seek(at)
    if size:
        raise OSError("the file changed while it was read")
    return hashed.hexdigest()


def _version(file: Any) -> str:
    """Return what the store of an fsspec file says of its state, as far as that lasts; "" where it says nothing."""
    try:
        info: Any = file.fs.info(file.path)
    except Exception:  # noqa: BLE001  (any store's own; that it cannot be read is said better by the call)
        return ""
    return next((f"{info.get('size')} {info[name]}" for name in VERSIONS if info.get(name)), "")


def _plain(value: Any, look: Look) -> Any:
    """Return what stands for a value in a digest. It must be the same in another process, so no addresses."""
    if isinstance(value, Upload | os.PathLike):
        return identity(value, look)
    if callable(value) and (name := getattr(value, "__qualname__", None)):
        return f"{getattr(value, '__module__', '')}.{name}"
    if callable(getattr(value, "tobytes", None)) or callable(getattr(value, "read", None)):
        return identity(value, look)
    return _ADDRESS.sub("", repr(value))


def _path(source: Any) -> str:
    return os.fsdecode(source)


def _several(value: Any) -> list[Any]:
    return list(cast("Any", value)) if isinstance(value, list | tuple) else [value]


def _name(sources: Sequence[Any]) -> str | None:
    """Return the name of an item that is one file or one URL."""
    if len(sources) != 1:
        return None
    [source] = sources
    if isinstance(source, Upload):
        return _name([source.__getstate__().get("source")])
    if is_any(source, ImagePart, Mapping) and (shown := shown_image(source)) is not None:
        return _name([shown[0]])
    if is_any(source, os.PathLike):
        return _path(source)
    if is_any(source, str):
        return None if len(source) > _LONGEST_ID or source.startswith("data:") else source
    if is_any(source, Mapping):
        path = source.get("path")
    else:  # Of Pillow's images, of files, and of fsspec's.
        path = next((getattr(source, name, None) for name in ("filename", "name", "path") if hasattr(source, name)), "")
    return path if isinstance(path, str) and path else None

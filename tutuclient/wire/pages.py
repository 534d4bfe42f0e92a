"""The answers of the plain pages: completions, embeddings, images, and whatever else is read whole.

As for chat there is a quick way, a typed decoder, and a patient one. The quick
way is taken only when the answer holds what was asked for: then it is no error
in an answer's clothes, and megabytes of base64 are decoded once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from tutuclient.errors import printable
from tutuclient.types.answer import Answer, Meta, Nested, is_list, is_object, keep, too_deep
from tutuclient.types.completions import Completion
from tutuclient.types.embeddings import CreateEmbeddingResponse
from tutuclient.types.images import ImagesResponse, ImageStreamEvent
from tutuclient.wire.answers import UNREADABLE
from tutuclient.wire.mending import fit_struct, mend_images, mend_texts, mend_vectors
from tutuclient.wire.refusals import error_of_answer, raise_if_error, read_object, read_value, unexpected

if TYPE_CHECKING:
    from collections.abc import Callable

    from tutuclient.sse import Data

A = TypeVar("A", bound=Answer)
T = TypeVar("T")

_decoders: dict[type[Answer], msgspec.json.Decoder[Any]] = {}


def read_answer(data: bytes | bytearray, cls: type[A], meta: Meta) -> A:
    """Read a whole answer of any page.

    Raises:
        APIStatusError: It is an error in an answer's clothes.
        UnexpectedResponseError: It is none: HTML, an empty body, broken JSON.
    """
    tree = read_object(data, meta)
    raise_if_error(tree, meta)
    return _remembered(fit_struct(tree, cls), data, tree, tree)


def read_as(data: Data, cls: type[T], meta: Meta) -> T:
    """Read a whole answer, or an event, of a page that nobody here knows.

    Args:
        data: The answer.
        cls: What to make of it: bytes and str take it as it is; one of our answers is read generously; a pydantic
            model by itself; everything else that msgspec can make of JSON (dict, list, structs, dataclasses…) by it.
        meta: How the call went.

    Raises:
        APIStatusError: It is an error in an answer's clothes.
        UnexpectedResponseError: It is no such thing.
    """
    if cls is bytes or cls is str:
        error = error_of_answer(data, meta) if bytes(data[:64]).lstrip()[:1] == b"{" else None
        if error is not None:
            raise error
        return cast("T", bytes(data) if cls is bytes else bytes(data).decode("utf-8", "replace"))
    wanted: Any = cls  # It may be a generic alias too, such as list[int].
    if isinstance(wanted, type) and issubclass(wanted, Answer):
        return cast("T", read_answer(bytes(data), wanted, meta))
    tree = read_value(data, meta)
    if is_object(tree):
        raise_if_error(tree, meta)
    validate = getattr(cls, "model_validate", None)
    try:
        return cast("T", validate(tree)) if validate is not None else msgspec.convert(tree, cls, strict=False)
    except ValueError as error:  # msgspec's and pydantic's are both ones of it.
        reason = printable(str(error), 200)
    raise unexpected(f"what is no {getattr(cls, '__name__', cls)} ({reason})", data, meta)


def read_text(data: Data, meta: Meta) -> Completion:
    """Read a whole legacy completion. Raises as ``read_answer`` does, also when there are no choices."""
    completion = _quickly(data, Completion)
    if completion is not None and _says_all(completion):
        return _remembered(completion, data, data)
    return _patiently(data, Completion, meta, mend_texts, lambda read: bool(read.choices), "an answer without choices")


def read_text_event(data: Data, meta: Meta) -> Completion | None:
    """Read one event of a streamed legacy completion; None for what carries nothing. Raises as ``read_answer`` does."""
    completion = _quickly(data, Completion)
    if completion is not None and _says_all(completion):
        return _remembered(completion, data, data)
    return _patiently_event(data, Completion, meta, mend_texts)


def read_vectors(data: bytes | bytearray, meta: Meta, count: int | None) -> CreateEmbeddingResponse:
    """Read the vectors of an answer.

    Args:
        data: The body.
        meta: How the call went.
        count: How many inputs there were, or None when that is not known. Another number of vectors could not be told
            apart, so it is no answer.

    Raises:
        APIStatusError: It is an error in an answer's clothes.
        UnexpectedResponseError: It is none, or the vectors are missing, broken, or not as many as the inputs.
    """
    answer = _quickly(data, CreateEmbeddingResponse)
    if answer is not None and _has_vectors(answer):
        _remembered(answer, data, data)
    else:
        lacking = "an answer without embeddings, or with broken ones"
        answer = _patiently(data, CreateEmbeddingResponse, meta, mend_vectors, _has_vectors, lacking)
    if count is not None and len(answer.data) != count:
        raise unexpected(f"embeddings for {len(answer.data)} inputs in place of {count}", data, meta)
    return answer


def read_images(data: Data, meta: Meta) -> ImagesResponse:
    """Read the pictures of an answer. Raises as ``read_answer`` does, also when there is no picture."""
    answer = _quickly(data, ImagesResponse)
    if answer is not None and answer.data and all(image.url or image.b64_json for image in answer.data):
        return _remembered(answer, data, data)
    return _patiently(data, ImagesResponse, meta, mend_images, _has_picture, "an answer without pictures")


def read_image_event(name: str, data: Data, meta: Meta) -> ImageStreamEvent | None:
    """Read one event of a streamed picture; None for what carries neither a picture nor usage.

    Args:
        name: What its ``event:`` line calls it, or ""; its own ``type`` comes first.
        data: Its data.
        meta: How the call went.

    Raises:
        APIError: As ``read_answer`` does.
    """
    event = _quickly(data, ImageStreamEvent)
    if event is not None and event.has_picture:
        _remembered(event, data, data)
    else:
        event = _patiently_event(data, ImageStreamEvent, meta, dict)
        if event is None or not (event.has_picture or event.usage):
            return None
    if not event.type:
        msgspec.structs.force_setattr(event, "type", name)
    return event


def _says_all(completion: Completion) -> bool:
    return bool(completion.choices) and all(choice.text for choice in completion.choices)


def _has_vectors(answer: CreateEmbeddingResponse) -> bool:
    """Say whether all vectors are there, and of one length."""
    lengths = {len(each) for each in answer.data}
    cut = any(isinstance(each.given, bytes) and len(each.given) % 4 for each in answer.data)
    return len(lengths) == 1 and 0 not in lengths and not cut


def _has_picture(answer: ImagesResponse) -> bool:
    return any(image.url or image.b64_json for image in answer.data)


def _quickly(data: Data, cls: type[A]) -> A | None:
    if cls not in _decoders:
        _decoders[cls] = msgspec.json.Decoder(cls, strict=False)
    try:
        return None if too_deep(data) else cast("A", _decoders[cls].decode(data))
    except UNREADABLE:
        return None


def _patiently(
    data: Data,
    cls: type[A],
    meta: Meta,
    mend: Callable[[dict[str, Any]], dict[str, Any]],
    enough: Callable[[A], bool],
    lacking: str,
) -> A:
    tree = read_object(data, meta)
    raise_if_error(tree, meta)
    mended = mend(tree)
    answer = fit_struct(mended, cls)
    if not enough(answer):
        raise unexpected(lacking, data, meta)
    return _remembered(answer, data, mended, tree)


def _patiently_event(
    data: Data, cls: type[A], meta: Meta, mend: Callable[[dict[str, Any]], dict[str, Any]]
) -> A | None:
    value = read_value(data, meta)
    if value is None or value in ([], {}):
        return None
    if not is_object(value):
        raise unexpected("an event that is no JSON object", data, meta)
    raise_if_error(value, meta)
    mended = mend(value)
    return _remembered(fit_struct(mended, cls), data, mended, value)


def _remembered(answer: A, data: Data, place: Data | dict[str, Any], tree: dict[str, Any] | None = None) -> A:
    """Keep with an answer what it was read from, for ``raw``, ``to_dict`` and the ``extra`` of its parts."""
    raw = bytes(data) if isinstance(data, memoryview) else data
    keep(answer, {"raw": raw} if tree is None else {"raw": raw, "tree": tree})
    _remember_places(answer, raw if tree is None else place, ())
    return answer


def _remember_places(struct: msgspec.Struct, place: object, path: tuple[str | int, ...]) -> None:
    for name in struct.__struct_fields__:
        value: Any = getattr(struct, name)
        parts = value if is_list(value) else [value]
        if not parts or not isinstance(parts[0], Nested):
            continue
        for number, part in enumerate(parts):
            here = (*path, name, number) if parts is value else (*path, name)
            keep(part, {"place": (place, here)})
            _remember_places(part, place, here)

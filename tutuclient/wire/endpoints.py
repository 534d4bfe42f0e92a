"""The answers of the endpoints beside chat: completions, embeddings, images, models, and unknown ones.

As for chat there is a quick way, a typed decoder, and a patient one. The quick
way is taken only when the answer holds what was asked for: then it cannot be an
error under a good status, and megabytes of base64 are decoded once.

Sources: .github/WIRE.md, sections 1.7 to 1.10.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from tutuclient._meta import note
from tutuclient.errors import APIStatusError, printable
from tutuclient.types.base import Answer, remember_answer
from tutuclient.types.chat import ChatCompletion
from tutuclient.types.completions import Completion
from tutuclient.types.embeddings import CreateEmbeddingResponse
from tutuclient.types.images import ImageError, ImagesResponse, ImageStreamEvent
from tutuclient.types.json import is_list, is_object, read_json
from tutuclient.types.models import Model, ModelList
from tutuclient.wire.api_errors import error_of_answer, raise_if_error
from tutuclient.wire.chat import fill_usage
from tutuclient.wire.decoding import check_count, decode_as, may_hold_error, read_value, unexpected
from tutuclient.wire.envelopes import read_event, read_unwrapped, unrecognized, unwrap, unwrap_event
from tutuclient.wire.error_detection import has_message
from tutuclient.wire.lenient import OddTextError, fit_struct, normalize_texts
from tutuclient.wire.shapes import (
    IMAGE_NAMES,
    MODEL_NAMES,
    VECTOR_NAMES,
    chunk_in,
    completion_in,
    failure_in,
    images_in,
    is_shuffled,
    model_in,
    models_in,
    no_models_in,
    places_in_order,
    texts_in,
    vectors_in,
)

if TYPE_CHECKING:
    from tutuclient._meta import Meta
    from tutuclient.wire.envelopes import Pick
    from tutuclient.wire.sse import Data

A = TypeVar("A", bound=Answer)
T = TypeVar("T")

# The API takes 2,048 prompts, and several texts of each.
_MOST_TEXTS = 100_000


def read_answer(data: bytes | bytearray, cls: type[A], meta: Meta, *, any_object: bool = False) -> A:
    """Read a whole answer of any endpoint; with ``any_object`` also one that has nothing of what the class has.

    Raises:
        APIStatusError: It is an error, or there is one in place of the answer.
        UnexpectedResponseError: It is not an answer but HTML, an empty body, broken JSON.
    """
    if cls is ModelList and not any_object:
        return cast("A", read_models(data, meta))
    tree, found = read_unwrapped(data, meta, _PICKS.get(cls) or _fields_of(cls))
    # An unknown model is an error under status 200, or an object that has nothing of one (.github/WIRE.md, section
    # 1.10).
    if cls is Model and found is None and not any_object:
        raise unrecognized("an answer without a model", data, meta, tree)
    names = cls.__struct_encode_fields__
    is_empty = all(tree.get(name) is None for name in names) and (tree.keys().isdisjoint(names) or has_message(tree))
    if names and is_empty and not any_object and found is None:
        raise unrecognized(f"an answer that has nothing of a {cls.__name__}", data, meta, tree)
    if cls is ImagesResponse and found is None:
        # A task that goes on has all that its answer needs but the images.
        note(meta, f"there is no image in the answer, whose fields are {printable(', '.join(sorted(tree)[:12]), 120)}")
    return remember_answer(fit_struct(tree, cls), data, tree)


def _fields_of(cls: type[Answer]) -> Pick:
    """Return a ``Pick`` that recognizes an answer by the fields of its class."""
    names = frozenset(cls.__struct_encode_fields__) - {"object", "success", "data"}

    def pick(value: Any) -> dict[str, Any] | None:
        return value if is_object(value) and names & value.keys() else None

    return pick


_PICKS: dict[type[Answer], Pick] = {
    ChatCompletion: completion_in,
    Completion: texts_in,
    CreateEmbeddingResponse: vectors_in,
    ImagesResponse: images_in,
    Model: model_in,
}


def read_models(data: Data, meta: Meta) -> ModelList:
    """Read a list of models. Raises as ``read_answer`` does, also when there is no list."""
    models = decode_as(data, ModelList)
    if models is not None and models.data and all(model.id for model in models.data):
        return remember_answer(models, data)
    value = read_value(data, meta) if bytes(data[:64]).strip() else None
    # An empty list counts only where no list with models is found: envelopes have empty lists beside the full one.
    pick = no_models_in if unwrap(value, models_in, MODEL_NAMES) is None else models_in
    tree, found = read_unwrapped(data, meta, pick, MODEL_NAMES)
    if found is None:
        raise unrecognized("an answer without a list of models", data, meta, tree)
    if not found["data"]:
        note(meta, "the relay lists no models")
    return remember_answer(fit_struct(found, ModelList), data, found)


def read_as(data: Data, cls: type[T], meta: Meta) -> T:
    """Read a whole answer, or an event, of an endpoint that this client does not know.

    Of the classes to return, bytes and str are the answer as it is; one of our answers is read generously; a pydantic
    model validates by itself; everything else (dict, list, structs, dataclasses…) is converted by msgspec.

    Raises:
        APIStatusError: It is an error under a good status.
        UnexpectedResponseError: It cannot be read as ``cls``.
    """
    if cls is bytes or cls is str:
        error = error_of_answer(data, meta) if bytes(data[:64]).lstrip()[:1] in {b"{", b"["} else None
        if error is not None:
            raise error
        return cast("T", bytes(data) if cls is bytes else bytes(data).decode("utf-8", "replace"))
    wanted: Any = cls  # It may be a generic alias too, such as list[int].
    if isinstance(wanted, type) and issubclass(wanted, Answer):
        return cast("T", read_answer(bytes(data), wanted, meta, any_object=True))
    tree = read_value(data, meta)
    if is_object(tree) or is_list(tree):
        raise_if_error(tree, meta, loose=False)
    validate = getattr(cls, "model_validate", None)
    try:
        return cast("T", validate(tree)) if validate is not None else msgspec.convert(tree, cls, strict=False)
    except ValueError as error:  # msgspec.ValidationError and pydantic.ValidationError both derive from it.
        reason = printable(str(error), 200)
    raise unexpected(f"what is not a {getattr(cls, '__name__', cls)} ({reason})", data, meta)


def read_text(data: Data, meta: Meta) -> Completion:
    """Read a whole legacy completion. Raises as ``read_answer`` does, also when there are no choices."""
    completion = _read_quickly(data, meta)
    if completion is None or is_shuffled([choice.index for choice in completion.choices]):
        tree, _ = read_unwrapped(data, meta, texts_in)
        completion = _fit_texts(tree, data, meta, "an answer")
        if not completion.choices:
            raise unrecognized("an answer without choices", data, meta, tree)
    fill_usage(completion, data)
    return completion


def _fit_texts(tree: dict[str, Any], data: Data, meta: Meta, what: str) -> Completion:
    try:
        normalized = normalize_texts(tree)
    except OddTextError as error:
        raise unexpected(f"{what} with {error}", data, meta) from None
    return remember_answer(fit_struct(normalized, Completion), data, tree, normalized)


def read_text_event(data: Data, meta: Meta) -> Completion | None:
    """Read one event of a streamed legacy completion; None for what carries nothing. Raises as ``read_answer`` does."""
    completion = _read_quickly(data, meta)
    if completion is None:
        tree = read_event(data, meta, chunk_in)
        if tree is None:
            return None
        completion = _fit_texts(tree, data, meta, "an event")
    fill_usage(completion, data)
    return completion


def _read_quickly(data: Data, meta: Meta) -> Completion | None:
    check_count(data, meta)
    completion = decode_as(data, Completion)
    if completion is None or not completion.choices or may_hold_error(data):
        return None
    if not all(choice.text for choice in completion.choices):
        return None
    if len(completion.choices) > _MOST_TEXTS:
        raise unexpected(f"more than {_MOST_TEXTS:,} choices", b"", meta)
    return remember_answer(completion, data)


def read_vectors(data: bytes | bytearray, meta: Meta, count: int | None) -> CreateEmbeddingResponse:
    """Read the vectors of an answer.

    ``count`` is the number of inputs, or None when that is not known. Of another number of vectors nobody could tell
    which text each belongs to, so it is an error.

    Raises:
        APIStatusError: It is an error under a good status.
        UnexpectedResponseError: It is not an answer, or the vectors are missing, broken, or not as many as the inputs.
    """
    answer = decode_as(data, CreateEmbeddingResponse)
    if answer is not None and _has_vectors(answer):
        # Trusted only where it is a permutation: one-api's Gemini channel writes 0 everywhere (.github/WIRE.md, section
        # 1.8).
        if is_shuffled([each.index for each in answer.data]):
            _put_in_order(answer, data)
        else:
            remember_answer(answer, data)
    else:
        tree, picked = read_unwrapped(data, meta, vectors_in, VECTOR_NAMES)
        answer = fit_struct(picked or {}, CreateEmbeddingResponse)
        if picked is None or len(answer.data) != len(picked["data"]) or not _has_vectors(answer):
            raise unrecognized("an answer without embeddings, or with broken ones", data, meta, tree)
        remember_answer(answer, data, picked)
    if count is not None and len(answer.data) != count:
        raise unexpected(f"embeddings for {len(answer.data)} inputs in place of {count}", data, meta)
    return answer


def _put_in_order(answer: CreateEmbeddingResponse, data: Data) -> None:
    """Sort vectors by their ``index``, unless one has none; cheap for millions of numbers."""
    tree = cast("dict[str, Any]", read_json(data))
    items: list[dict[str, Any]] = tree["data"]
    places = places_in_order(items, "index")
    msgspec.structs.force_setattr(answer, "data", [answer.data[place] for place in places])
    tree["data"] = [items[place] for place in places]
    remember_answer(answer, data, tree)


def read_images(data: Data, meta: Meta) -> ImagesResponse:
    """Read the images of an answer.

    Of several, one that was not made has an ``error`` in its place.

    Raises:
        APIStatusError: It is an error, or all that was asked for failed.
        UnexpectedResponseError: There is no image.
    """
    answer = decode_as(data, ImagesResponse)
    images = [] if answer is None else answer.data
    # ``Image`` has no ``index``, so the quick way would leave shuffled images as they came.
    numbered = len(images) > 1 and bytes(data).find(b'"index"') >= 0
    if answer is not None and images and not numbered and all(image.url or image.b64_json for image in images):
        return remember_answer(answer, data)
    tree, picked = read_unwrapped(data, meta, images_in, IMAGE_NAMES)
    answer = fit_struct(picked or {}, ImagesResponse)
    if not any(image.url or image.b64_json for image in answer.data):
        failure = next((image.error for image in answer.data if image.error), None)
        if failure is not None:
            raise error_of_image(failure, meta, tree)
        raise unrecognized("an answer without images", data, meta, tree)
    for image in answer.data:
        if image.error is not None:
            note(meta, f"an image was not made: {printable(image.error.message or str(image.error.code), 200)}")
    return remember_answer(answer, data, picked)


def error_of_image(failure: ImageError, meta: Meta, body: object) -> APIStatusError:
    """Build the error of a call none of whose images was made."""
    reason = {"message": failure.message or "the image was not made", "code": failure.code, "type": failure.type}
    try:
        raise_if_error({"error": {name: value for name, value in reason.items() if value}}, meta)
    except APIStatusError as error:
        # All of it, and not the one image's reason alone: each may have failed of something else.
        error.body = body
        return error.with_traceback(None)
    return APIStatusError(reason["message"] or "", body=body)


def read_image_events(name: str, data: Data, meta: Meta) -> list[ImageStreamEvent]:
    """Read one event of streamed images: mostly one image, a draft or a whole one.

    Some relays send all images in a last event shaped like a whole answer. An event's own ``type`` counts more than
    ``name``, which is what its ``event:`` line calls it, or "".

    Returns:
        An event for each image, for each that failed, for a usage and for the end; [] for what carries nothing.

    Raises:
        APIError: As ``read_answer`` does.
    """
    event = decode_as(data, ImageStreamEvent)
    if event is not None and event.has_picture and event.error is None:
        return [_named(remember_answer(event, data), name)]
    value = read_value(data, meta)
    if value is None or value in ([], {}):
        return []
    # Before the pick: a failed image is not the end of the others, as Volcengine's stream shows
    # (``shapes.failure_in``).
    failure = unwrap(value | {"type": value.get("type") or name} if is_object(value) else value, failure_in)
    if failure is not None:
        return [_event_of(failure, name, data)]
    tree = unwrap_event(value, data, meta, images_in, IMAGE_NAMES, name=name)
    if tree is not value:
        return _events_of(tree, name, data)
    event = _event_of(tree, name, data)
    return [event] if event.usage or event.is_last else []


def _events_of(tree: dict[str, Any], name: str, data: Data) -> list[ImageStreamEvent]:
    """Return the events of one that is shaped like a whole answer; its usage goes with the last."""
    outer = {key: value for key, value in tree.items() if key not in {"data", "usage"}}
    outer.setdefault("created_at", outer.get("created"))
    items = [item for item in tree["data"] if item.get("url") or item.get("b64_json") or item.get("error")]
    events = [_event_of(outer | item, name, data) for item in items[:-1]]
    usage = {"usage": tree["usage"]} if "usage" in tree else {}
    return [*events, _event_of(outer | items[-1] | usage, name, data)]


def _event_of(tree: dict[str, Any], name: str, data: Data) -> ImageStreamEvent:
    return _named(remember_answer(fit_struct(tree, ImageStreamEvent), data, tree), name)


def _named(event: ImageStreamEvent, name: str) -> ImageStreamEvent:
    if not event.type:
        msgspec.structs.force_setattr(event, "type", name)
    return event


def _has_vectors(answer: CreateEmbeddingResponse) -> bool:
    """Return whether all vectors are there, and of one length."""
    lengths = {len(each) for each in answer.data}
    cut = any(isinstance(each.given, bytes) and len(each.given) % 4 for each in answer.data)
    return len(lengths) == 1 and 0 not in lengths and not cut

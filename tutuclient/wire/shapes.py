"""Answers in other shapes than the API's: bare lists, other names for the list, lists of texts, one in place of many.

Each public function named ``…_in`` is a ``Pick`` for ``envelopes.unwrap``: it
returns the answer in the API's own shape, with the fields beside it, or None for a
value that is not such an answer. What is missing or broken is never left out in
silence.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tutuclient.types.images import looks_like_image
from tutuclient.types.json import is_list, is_object
from tutuclient.wire.envelopes import ENVELOPES
from tutuclient.wire.lenient import as_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SUCCESS = frozenset({"0", "200", "ok", "success", "succeeded"})
"""What envelopes write as their ``code`` when all is well, in lower case."""

# ---------------------------------------------------------------- order


def in_order(items: Sequence[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
    """Return the items of a list in the order of their ``index``, when that can be trusted.

    It can when the indices are 0…n-1, each of them once. Relays write 0 everywhere,
    leave it out or begin at 1: then the place in the list counts.

    Source: .github/WIRE.md, section 1.8 (one-api's Gemini channel).

    Args:
        items: The items.
        *names: What the index may be called; the first one that is there counts.
    """
    indices = [_index(item, names) for item in items]
    if sorted(indices) != list(range(len(items))):
        return list(items)
    ordered = list(items)
    for index, item in zip(indices, items, strict=True):
        ordered[index] = item
    return ordered


def _index(item: dict[str, Any], names: Sequence[str]) -> int:
    """Read the index of an item, which may be written as text or with a fraction of zero; -1 for none."""
    value = next((item[name] for name in names if item.get(name) is not None), None)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return -1
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return -1
    return int(number) if number.is_integer() else -1


def places_in_order(items: Sequence[dict[str, Any]], *names: str) -> list[int]:
    """Return the places of the items of a list in their order; arguments as for ``in_order``."""
    numbered = [{"place": place} | {name: item.get(name) for name in names} for place, item in enumerate(items)]
    return [item["place"] for item in in_order(numbered, *names)]


def is_shuffled(indices: Sequence[int]) -> bool:
    """Return whether these are 0…n-1, each of them once, but not in this order."""
    return (
        len(indices) > 1
        and any(map(int.__ne__, indices, range(len(indices))))
        and set(indices) == set(range(len(indices)))
    )


# ---------------------------------------------------------------- chat and text completions


def choices_in(value: Any) -> dict[str, Any] | None:
    """Pick an answer with at least one choice."""
    return value if any(is_object(choice) for choice in _choices(value) or ()) else None


def chunk_in(value: Any) -> dict[str, Any] | None:
    """Pick an event of a streamed answer: it has the list of choices, be it empty."""
    return value if _choices(value) is not None else _from_ollama(value, "delta")


def completion_in(value: Any) -> dict[str, Any] | None:
    """Pick a chat completion; some relays answer a chat as the images endpoint would."""
    if choices_in(value) is not None:
        return _with_choices_in_order(value)
    if not is_object(value):
        return None
    if value.get("done") is True and (answer := _from_ollama(value, "message")) is not None:
        return answer
    return value if has_images(value) else None


def has_images(tree: dict[str, Any]) -> bool:
    """Return whether an object lists images as the images endpoint does (.github/WIRE.md, section 2.2, form 14)."""
    images = tree.get("data")
    return is_list(images) and any(is_object(one) and (one.get("url") or one.get("b64_json")) for one in images)


def texts_in(value: Any) -> dict[str, Any] | None:
    """Pick a legacy completion."""
    return None if choices_in(value) is None else _with_choices_in_order(value)


def _from_ollama(value: Any, part: str) -> dict[str, Any] | None:
    """Return an answer of Ollama's own API in the API's shape, or None; ``part`` is "message" or "delta".

    Source: https://github.com/ollama/ollama/blob/main/docs/api.md, "Generate a chat completion".
    """
    if not is_object(value) or not isinstance(value.get("done"), bool):
        return None
    # The last line of a stream may have no message (docs/api.md until 2025); one of /api/generate has a response.
    is_end = part == "delta" and value["done"] and "model" in value and "response" not in value
    message = value.get("message", {} if is_end else None)
    if not is_object(message):
        return None
    reason = (value.get("done_reason") or "stop") if value["done"] else None
    kept = {name: item for name, item in value.items() if name not in {"message", "done", "done_reason"}}
    answer = kept | {"choices": [{"index": 0, part: message, "finish_reason": reason}]}
    asked, made = value.get("prompt_eval_count"), value.get("eval_count")
    if isinstance(asked, int) and isinstance(made, int):
        answer["usage"] = {"prompt_tokens": asked, "completion_tokens": made, "total_tokens": asked + made}
    return answer


def _choices(value: Any) -> list[Any] | None:
    if not is_object(value):
        return None
    choices = value.get("choices")
    # "Choices" is Tencent's.
    if choices is None:
        choices = next((found for name, found in value.items() if name.lower() == "choices"), None)
    return choices if is_list(choices) else None


def _with_choices_in_order(tree: dict[str, Any]) -> dict[str, Any]:
    choices = tree.get("choices")
    if is_list(choices) and len(choices) > 1 and all(is_object(choice) for choice in choices):
        return tree | {"choices": in_order(choices, "index")}
    return tree


# ---------------------------------------------------------------- transcripts


def transcription_in(value: Any) -> dict[str, Any] | None:
    """Pick a transcription: it has a text, or segments."""
    return value if is_object(value) and ("text" in value or is_list(value.get("segments"))) else None


def audio_event_in(value: Any) -> dict[str, Any] | None:
    """Pick an event of a streamed transcription or speech."""
    if not is_object(value):
        return None
    known = str(value.get("type") or "").startswith(("transcript.", "speech."))
    return value if known or any(isinstance(value.get(name), str) for name in ("delta", "text", "audio")) else None


# ---------------------------------------------------------------- models

_MODEL_LISTS = (
    *("data", "models", "model_list", "available_models", "items", "list", "result", "results", "records", "rows"),
)
MODEL_NAMES = ENVELOPES | {name.replace("_", "") for name in _MODEL_LISTS}
_MODEL_IDS = ("id", "model", "model_id", "modelId", "model_name", "modelName", "slug", "name")
_OF_A_MODEL = frozenset((*_MODEL_IDS, "object", "owned_by", "created", "context_length", "max_tokens", "mode"))
_OF_NO_MODEL = frozenset(("error", "data", "models", "list", "items", "records", "rows"))


def model_in(value: Any) -> dict[str, Any] | None:
    """Pick one model."""
    model = _model(value) if is_object(value) else None
    return model if model and "id" in model else None


def models_in(value: Any) -> dict[str, Any] | None:
    """Pick a list of models that is not empty: of objects or of texts, bare or named; or an object of id to model."""
    items = _models(value, named=False)
    if items is None and is_object(value):
        for name in _MODEL_LISTS:
            items = _models(value.get(name), named=True)
            if items is not None:
                return {key: other for key, other in value.items() if key != name} | {"data": items}
    return None if items is None else {"data": items}


def no_models_in(value: Any) -> dict[str, Any] | None:
    """Pick a list of models that is empty, and meant to be."""
    if value == [] and is_list(value):
        return {"data": []}
    if is_object(value) and str(value.get("code") or "0").lower() in SUCCESS:
        # Go writes null for a list of nothing.
        is_list_of_models = value.get("object") == "list" or value.get("success") is True
        if any(value.get(name) == [] for name in _MODEL_LISTS) or (is_list_of_models and value.get("data", "") is None):
            return value | {"data": []}
    return None


def _models(value: Any, *, named: bool) -> list[dict[str, Any]] | None:
    """Return the models in a list, or in an object of id to model; None for what is neither, or has none.

    Args:
        value: What may be the list.
        named: It stands under a name that says so.
    """
    if is_list(value):
        items = [item for item in map(_model, value) if item is not None]
        return items if any("id" in item for item in items) else None
    if not (is_object(value) and value) or any(name in value for name in ("error", "data", "models")):
        return None
    if named and all(is_list(items) and all(isinstance(item, str) for item in items) for items in value.values()):
        # new-api's dashboard: the names of the models, by channel.
        names = dict.fromkeys(name for names in value.values() for name in names)
        return [{"id": name} for name in names] or None
    # An object of id to envelope is not one of id to model.
    wrapped = any(is_object(item) and item.keys() & _OF_NO_MODEL for item in value.values())
    if not wrapped and all(is_object(item) and (named or item.keys() & _OF_A_MODEL) for item in value.values()):
        return [_model({"id": name} | item) or {"id": name} for name, item in value.items()]
    return None


def _model(item: Any) -> dict[str, Any] | None:
    """Return a model in the shape of the API; one without a name stays as it came; None for what is not a model."""
    if isinstance(item, str):
        return {"id": item} if item.strip() else None
    if not is_object(item):
        return None
    for name in _MODEL_IDS:
        value = item.get(name)
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            # Gemini's own list names a model "models/gemini-…"; what a request takes is the part behind.
            bare = value.removeprefix("models/") if name == "name" and isinstance(value, str) else value
            return item if name == "id" else item | {"id": bare}
    return {key: value for key, value in item.items() if key != "id"}


# ---------------------------------------------------------------- embeddings

_VECTORS = ("data", "embeddings", "embedding", "vectors", "vector", "values", "float", "base64", "predictions")
VECTOR_NAMES = ENVELOPES | set(_VECTORS)
_VECTOR = ("embedding", "vector", "values", "embeddings", "float", "base64")
_INDICES = ("index", "text_index")


def vectors_in(value: Any) -> dict[str, Any] | None:
    """Pick embeddings: objects with a vector each, or the vectors themselves, bare or named.

    A list in which one is broken does not count: one less would give the others to other texts.
    """
    items = _vectors(value)
    if items is None and is_object(value):
        for name in _VECTORS:
            inner = value.get(name)
            items = _vectors([inner] if isinstance(inner, str) and name in _VECTOR else inner)
            if items is not None:
                return {key: other for key, other in value.items() if key != name} | {"data": items}
    return None if items is None else {"data": items}


def _vectors(value: Any) -> list[dict[str, Any]] | None:
    if not is_list(value) or not value:
        return None
    if _is_vector(value):
        return [{"embedding": value}]
    items = [_vector_item(item) for item in value]
    kept = [item for item in items if item is not None]
    return in_order(kept, *_INDICES) if len(kept) == len(items) else None


def _vector_item(item: Any) -> dict[str, Any] | None:
    if not is_object(item):
        vector = _vector(item)
        return None if vector is None else {"embedding": vector}
    for name in _VECTOR:
        vector = _vector(item.get(name))
        if vector is not None:
            index = next((item[key] for key in _INDICES if item.get(key) is not None), None)
            return item | {"embedding": vector} | ({} if index is None else {"index": index})
    return None


def _vector(value: Any, depth: int = 3) -> list[float] | str | None:
    """Return the vector that a value is or holds: llama.cpp puts it into a list of one, Gemini into an object."""
    # A text is base64 of floats, which the struct decodes and checks.
    if (isinstance(value, str) and value) or _is_vector(value):
        return value  # type: ignore[no-any-return]  # Seen to be one.
    if depth and is_list(value) and len(value) == 1:
        return _vector(value[0], depth - 1)
    if depth and is_object(value):
        return next((found for name in _VECTOR if (found := _vector(value.get(name), depth - 1)) is not None), None)
    return None


def _is_vector(value: Any) -> bool:
    return (
        is_list(value)
        and bool(value)
        and all(isinstance(number, int | float) and not isinstance(number, bool) for number in value)
    )


# ---------------------------------------------------------------- images

_IMAGE_LISTS = (
    *("data", "images", "image_urls", "urls", "image_base64", "artifacts", "predictions", "generated_images"),
    *("result_urls", "resultUrls", "files"),
    *("output", "outputs", "result", "results", "task_result", "choices", "message", "delta", "content", "candidates"),
    "parts",
)
IMAGE_NAMES = ENVELOPES | {"item"} | {name.replace("_", "") for name in _IMAGE_LISTS}
_IMAGE = (
    *("url", "b64_json", "image_url", "image", "b64", "base64", "image_base64", "imageBase64", "imageUrl", "data_url"),
    *("image_b64", "partial_image_b64", "bytesBase64Encoded", "imageBytes", "inlineData", "inline_data", "data", "src"),
    *("file_url", "sample"),
)
_AT_THE_TOP = tuple(name for name in _IMAGE if name != "data")
_FAILED_STATUS = re.compile(r"fail|error|reject|block|cancel|expired|nsfw", re.IGNORECASE)
_WORDS = ("message", "msg", "error_message", "error_msg", "err_msg", "fail_reason", "failure_reason", "reason")


def images_in(value: Any) -> dict[str, Any] | None:
    """Pick images, those that failed among them as items with an ``error`` (.github/WIRE.md, section 1.9)."""
    if is_list(value):
        items = _listed(value)
        return None if items is None else {"data": items}
    if not is_object(value):
        return {"data": [_of_text(value)]} if isinstance(value, str) and looks_like_image(value) else None
    for name in _IMAGE_LISTS:
        inner = value.get(name)
        values: list[Any] = inner if is_list(inner) else [inner] if isinstance(inner, str) else []
        items = _listed(values)
        if items is not None:
            return {key: other for key, other in value.items() if key != name} | {"data": items}
    items = _leaves(value, _AT_THE_TOP)
    rest = {key: other for key, other in value.items() if key not in _AT_THE_TOP}
    return rest | {"data": [_plain_item(item) for item in items]} if items else None


def _listed(values: list[Any]) -> list[dict[str, Any]] | None:
    """Return the images in a list; None when it has none, or when it is a list of one whole answer."""
    items = _images(values)
    if not any(item.get("url") or item.get("b64_json") or item.get("error") for item in items):
        return None
    [first, *others] = values
    # A lone object without an image at its top is an envelope in a list, to be opened by ``envelopes.unwrap``.
    alone = is_object(first) and not others and not _leaves(first, _AT_THE_TOP) and _failure(first) is None
    return None if alone else items


def _plain_item(item: dict[str, Any]) -> dict[str, Any]:
    """Return what an image itself has, of an answer that is one."""
    return {name: item[name] for name in ("url", "b64_json", "revised_prompt") if item.get(name) is not None}


def _images(value: Any, depth: int = 6) -> list[dict[str, Any]]:
    """Return the images in a list, an object or a text: each as an object with ``url`` or ``b64_json``."""
    if isinstance(value, str):
        return [_of_text(value)] if looks_like_image(value) else []
    if is_list(value) and depth:
        found = [(item, _images(item, depth - 1)) for item in value]
        items = [each for item, images in found for each in images or ([_without(item)] if is_object(item) else [])]
        return in_order(items, "index", "image_index")
    if not is_object(value) or not depth:
        return []
    own = _leaves(value, _IMAGE)
    if own:
        return own
    for name in _IMAGE_LISTS:
        inner = value.get(name)
        items = _images(inner, depth - 1)
        if items:
            return items
    return []


def _without(item: dict[str, Any]) -> dict[str, Any]:
    """Return an item in which there is no image, with the reason as its ``error`` if it gives one."""
    failure = _failure(item)
    return item if failure is None else item | {"error": failure}


def _leaves(item: dict[str, Any], names: Sequence[str]) -> list[dict[str, Any]]:
    """Return one object for each image that the fields of an item hold."""
    url, encoded = item.get("url"), item.get("b64_json")
    # The API's own names first; ``types.images`` sorts out which of the two really holds what (dsh-imagegen#10).
    if (url or encoded) and isinstance(url, str | None) and isinstance(encoded, str | None):
        return [_with_failure(item)]
    for name in names:
        texts = list(dict.fromkeys(_texts(item.get(name))))
        if texts:
            rest = {key: other for key, other in item.items() if key not in {"url", "b64_json", name}}
            return [_with_failure(rest | _of_text(text)) for text in texts]
    return []


def _texts(value: Any, depth: int = 4) -> Iterator[str]:
    """Return the texts in an image's field: one, a list of them, or an object that holds one."""
    if isinstance(value, str):
        if looks_like_image(value):
            yield value
    elif is_list(value) and depth:
        for item in value:
            yield from _texts(item, depth - 1)
    elif is_object(value) and depth:
        for name in _IMAGE:
            found = list(_texts(value.get(name), depth - 1))
            if found:
                yield from found
                return


def _of_text(text: str) -> dict[str, Any]:
    """Return a text in the field it belongs to; ``types.images`` looks closer."""
    return {"url": text} if text.lstrip()[:4].lower() == "http" else {"b64_json": text}


def _with_failure(item: dict[str, Any]) -> dict[str, Any]:
    if "error" not in item:
        return item
    failure = _failure({"error": item["error"]})
    return {key: other for key, other in item.items() if key != "error"} | (
        {} if failure is None else {"error": failure}
    )


def _failure(item: dict[str, Any]) -> dict[str, Any] | None:
    """Return why an image was not made, as an error object; None where nothing shows that it was not.

    A message alone does not: an accepted task has one too.
    """
    error = item.get("error")
    if is_object(error) and error:
        words = next((error[name] for name in _WORDS if error.get(name)), None)
        return error | ({} if words is None else {"message": as_text(words)})
    code, status = item.get("code"), item.get("status") or item.get("state")
    words = error or next((item[name] for name in _WORDS if item.get(name)), None)
    by_code = bool(words and code) and str(code).lower() not in SUCCESS
    if not (error or by_code or (isinstance(status, str) and _FAILED_STATUS.search(status))):
        return None
    return {"message": as_text(words or status)} | ({"code": code} if code else {})


def failure_in(value: Any) -> dict[str, Any] | None:
    """Pick an event that one of several images failed, which tells nothing of the others.

    Source: Volcengine, ``image_generation.partial_failed``.
    """
    if not is_object(value) or not value.get("error"):
        return None
    kind = str(value.get("type") or "")
    of_one = any(isinstance(value.get(name), int) for name in ("image_index", "index")) and kind != "error"
    return value | {"error": _failure(value)} if of_one or kind.endswith("partial_failed") else None

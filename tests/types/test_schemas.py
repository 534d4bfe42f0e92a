"""What encoders, FastAPI and pydantic see of an answer: its fields, and nothing of what it was read from.

Source: issue 10, point 6 (``return {"usage": answer.usage}`` sent the relay's whole raw answer to the browser).
"""

from __future__ import annotations

import base64
import copy
import importlib
import inspect
import json
import math
import pickle
import pkgutil
import re
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import msgspec
import pydantic
import pytest
from fastapi import FastAPI
from fastapi.encoders import jsonable_encoder
from fastapi.testclient import TestClient
from pydantic import BaseModel, TypeAdapter
from pydantic_core import to_jsonable_python

import tutuclient
from tests.images import png
from tutuclient import Balance, image, types, user, wire
from tutuclient.downloads.fetch import Downloads
from tutuclient.finding import ImageFinder
from tutuclient.media.parts import TextPart
from tutuclient.resources.chat import Completions
from tutuclient.resources.completions import TextCompletions
from tutuclient.resources.embeddings import Embeddings
from tutuclient.resources.models import Models
from tutuclient.resources.parsing import Expected
from tutuclient.types import (
    ChatCompletion,
    ChatCompletionChunk,
    ChatFields,
    ChatMessage,
    CreateEmbeddingResponse,
    ImageEditFields,
    ImagesResponse,
    Meta,
    ModelList,
    ParsedChatCompletion,
    Transcription,
    Usage,
)
from tutuclient.types.base import Plain
from tutuclient.types.chat import TopLogprob
from tutuclient.types.events import ChunkEvent, ContentDeltaEvent, so_far
from tutuclient.types.provenance import Origin, Traced, provenance, remember, set_origin

if TYPE_CHECKING:
    from collections.abc import Callable

PNG = png()
SECRET = "upstream-channel-7-cost-0.0031"
RAW = json.dumps(
    {
        "id": "c-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "provider": SECRET,
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "channel": SECRET,
                "message": {
                    "role": "assistant",
                    "content": '{"city": "Oslo"}',
                    "trace": SECRET,
                    "tool_calls": [
                        {"id": "t", "type": "function", "sign": SECRET, "function": {"name": "f", "arguments": "{}"}}
                    ],
                },
            }
        ],
        "usage": {
            "prompt_tokens": 3,
            "completion_tokens": 2,
            "cost": SECRET,
            "prompt_tokens_details": {"cached_tokens": 1, "tier": SECRET},
        },
    }
).encode()


class City(BaseModel):
    city: str


class Town(msgspec.Struct):
    city: str


@dataclass
class Place:
    city: str


def nothing(_: object) -> list[Any]:
    return []


def completion() -> ChatCompletion:
    meta = Meta(200, {"x-request-id": SECRET})
    answer = wire.read_completion(RAW, meta)
    set_origin(answer, Origin(meta, nothing))
    return answer


def images() -> ImagesResponse:
    raw = json.dumps({"data": [{"url": "https://a.example/x.png", "node": SECRET}], "node": SECRET}).encode()
    return wire.read_images(raw, Meta())


def vectors() -> CreateEmbeddingResponse:
    raw = json.dumps({"data": [{"embedding": [0.5, 1.0], "node": SECRET}], "node": SECRET}).encode()
    return wire.read_vectors(raw, Meta(), 1)


def models() -> ModelList:
    raw = json.dumps({"data": [{"id": "m", "node": SECRET}], "node": SECRET}).encode()
    return wire.read_answer(raw, ModelList, Meta())


def chunk() -> ChatCompletionChunk:
    raw = json.dumps({"choices": [{"delta": {"content": "x", "node": SECRET}}], "node": SECRET}).encode()
    made = wire.decode_chunk(raw)
    remember(made, (Origin(Meta(), nothing), raw))
    return made


def transcription() -> Transcription:
    raw = json.dumps({"text": "x", "usage": {"type": "tokens", "node": SECRET}, "node": SECRET}).encode()
    return wire.read_answer(raw, Transcription, Meta())


def told(event: Any) -> Any:
    return so_far(event, [SECRET])


STRUCTS: dict[str, Callable[[], Any]] = {
    "completion": completion,
    "choice": lambda: completion().choices[0],
    "message": lambda: completion().message,
    "call": lambda: (completion().message.tool_calls or [])[0],
    "function": lambda: (completion().message.tool_calls or [])[0].function,
    "usage": lambda: completion().usage,
    "details": lambda: getattr(completion().usage, "prompt_tokens_details"),  # noqa: B009  (it may be None to a checker)
    "copied": lambda: copy.copy(completion()),
    "copied deep": lambda: copy.deepcopy(completion()),
    "copied part": lambda: copy.copy(completion().usage),
    "images": images,
    "image": lambda: images().data[0],
    "vectors": vectors,
    "vector": lambda: vectors().data[0],
    "models": models,
    "model": lambda: models().data[0],
    "chunk": chunk,
    "delta": lambda: chunk().choices[0].delta,
    "transcription": transcription,
    "seconds": lambda: transcription().usage,
    "event": lambda: told(ContentDeltaEvent(delta="x")),
    "event of a chunk": lambda: told(ChunkEvent(chunk=chunk())),
    "parsed": lambda: Expected({"response_format": Place}).read(completion()),
}
ENCODERS: dict[str, Callable[[Any], Any]] = {
    "vars": vars,
    "dict": dict,
    "jsonable_encoder": jsonable_encoder,
    "jsonable_encoder, in a dict": lambda struct: jsonable_encoder({"it": [struct]})["it"][0],
    "json.dumps": lambda struct: json.loads(json.dumps(struct, default=vars)),
    "TypeAdapter, to Python": lambda struct: TypeAdapter(type(struct)).dump_python(struct),
    "TypeAdapter, to JSON": lambda struct: json.loads(TypeAdapter(type(struct)).dump_json(struct)),
    "TypeAdapter of Any": lambda struct: TypeAdapter(Any).dump_python(struct),
    "TypeAdapter of a dict": lambda struct: json.loads(TypeAdapter(dict[str, Any]).dump_json({"it": [struct]}))["it"][
        0
    ],
    "to_jsonable_python": to_jsonable_python,
    "msgspec.to_builtins": msgspec.to_builtins,
    "msgspec.json": lambda struct: msgspec.json.decode(msgspec.json.encode(struct)),
    "msgspec.msgpack": lambda struct: msgspec.msgpack.decode(msgspec.msgpack.encode(struct)),
}


def names_of(struct: Any) -> set[str]:
    return set(struct.__struct_encode_fields__)


@pytest.mark.parametrize("encode", ENCODERS.values(), ids=ENCODERS)
@pytest.mark.parametrize("make", STRUCTS.values(), ids=STRUCTS)
def test_encoders_see_the_fields_and_nothing_else(make: Callable[[], Any], encode: Callable[[Any], Any]) -> None:
    struct = make()
    found = encode(struct)
    assert set(found) == names_of(struct)
    assert SECRET not in f"{found!r}"


@pytest.mark.parametrize("make", STRUCTS.values(), ids=STRUCTS)
def test_no_walk_over_attributes_finds_what_an_answer_came_from(make: Callable[[], Any]) -> None:
    struct = make()
    walked = msgspec.structs.asdict(struct), msgspec.structs.astuple(struct), object.__getstate__(struct)
    assert SECRET not in f"{struct!r} {struct!s} {walked!r}"
    slots = {name for cls in type(struct).__mro__ for name in getattr(cls, "__slots__", ())}
    assert slots == set(struct.__struct_fields__)


@pytest.mark.parametrize("name", ["choice", "message", "call", "function", "usage", "details", "vector", "image"])
def test_a_pickle_of_a_part_carries_that_part_alone(name: str) -> None:
    part = STRUCTS[name]()
    packed = pickle.dumps(part)
    assert b"chat.completion" not in packed
    assert pickle.loads(packed) == part  # noqa: S301  (our own bytes)
    assert packed.count(SECRET.encode()) <= len(dict(getattr(part, "extra", {}))) + (3 if name == "choice" else 1)


def test_a_whole_answer_travels_whole() -> None:
    answer = completion()
    for again in (pickle.loads(pickle.dumps(answer)), copy.copy(answer), copy.deepcopy(answer)):  # noqa: S301  (our own bytes)
        assert (again, again.raw, again.request_id) == (answer, RAW, SECRET)
        assert again.extra == {"provider": SECRET}
        assert again.to_dict() == json.loads(RAW)


def test_a_copy_is_one_of_its_own() -> None:
    answer = completion()
    again = copy.copy(answer)
    provenance(again).raw = b"{}"
    assert answer.raw == RAW
    assert copy.copy(answer.usage).extra == {"cost": SECRET}  # type: ignore[union-attr]  # it has one


def test_one_with_other_fields_came_from_nowhere() -> None:
    other = msgspec.structs.replace(completion(), model="n")
    assert (other.model, other.raw, other.extra) == ("n", b"", {})


def test_what_is_kept_is_let_go_of_with_its_struct() -> None:
    held = [SECRET]
    before = sys.getrefcount(held)
    structs: list[Traced] = [Usage(), ChatMessage(), ChatCompletion()]
    for struct in structs:
        remember(struct, ({"held": held}, ()))
    assert sys.getrefcount(held) == before + 3
    del struct
    structs.clear()
    assert sys.getrefcount(held) == before


def test_nothing_is_written_into_what_vars_gives() -> None:
    # It is a new dict each time, of the fields alone: ``keep`` and ``kept`` are the way to what an answer came from.
    seen, names = (
        r"(?:\bvars\([\w.]+\)|\.__dict__)\s*",
        r"\s*[\"'](?:raw|origin|tree|place|images|pieces|fold|decoded|unknown)\b",
    )
    lost = re.compile(
        rf"{seen}(?:\[[^\]]+\]\s*=[^=]|\.(?:update|setdefault|pop)\((?!_)|(?:\.get\(|\[){names})|(?:=|\bin)\s+(?:[\w.]+\.__dict__|vars\((?!self\):)\w+\))\s*(?:#|:|$)",
        re.MULTILINE,
    )
    package = Path(tutuclient.__file__).parent
    assert [path.name for path in package.rglob("*.py") if lost.search(path.read_text(encoding="utf-8"))] == []


def test_lists_iterate_over_what_they_list_and_are_dicts_of_their_fields() -> None:
    assert [len(each) for each in vectors()] == [2]
    assert dict(vectors())["data"] == vectors().data
    assert [each.id for each in models()] == ["m"]
    assert set(dict(models())) == {"object", "data", "success"}


def test_nan_is_written_as_null() -> None:
    assert math.isnan(TopLogprob(token="a").logprob)
    assert jsonable_encoder(TopLogprob(token="a")) == {"token": "a", "bytes": None, "logprob": None}


def test_vectors_are_numbers_however_they_came() -> None:
    raw = b'{"data": [{"embedding": "AAAAPwAAgD8=", "index": 0}]}'
    assert jsonable_encoder(wire.read_vectors(raw, Meta(), 1))["data"][0]["embedding"] == [0.5, 1.0]


def test_an_image_shows_what_it_is_and_not_how_it_is_fetched() -> None:
    downloads = Downloads(max_bytes=7, proxy=f"http://user:{SECRET}@proxy.example:3128")
    (image,) = ImageFinder(downloads, made=True)(images())
    for seen in (vars(image), jsonable_encoder(image)):
        assert set(seen) == {"url", "download_url", "alt", "mime", "size_bytes", "revised_prompt"}
        assert SECRET not in repr(seen)
    assert pickle.loads(pickle.dumps(image)).url == image.url  # noqa: S301  (our own bytes)


async def test_a_pickle_of_an_image_carries_that_image_alone() -> None:
    text = f"{SECRET} ![a](data:image/png;base64,{base64.b64encode(PNG).decode()}) {SECRET}"
    answer = wire.read_completion(json.dumps({"choices": [{"message": {"content": text}}]}).encode(), Meta())
    (image,) = ImageFinder(Downloads(max_bytes=7), made=True)(answer)
    packed = pickle.dumps(image)
    assert SECRET.encode() not in packed
    assert await pickle.loads(packed).read() == PNG  # noqa: S301  (our own bytes)


def web() -> FastAPI:  # noqa: C901  (an endpoint for each way)
    """An app that returns answers in every way there is."""
    app = FastAPI()

    @app.get("/bare")
    async def bare():  # type: ignore[no-untyped-def]  # noqa: ANN202  (an endpoint as people write it)
        return completion()

    @app.get("/nested")
    async def nested():  # type: ignore[no-untyped-def]  # noqa: ANN202  (the same)
        answer = completion()
        return {"usage": answer.usage, "choices": answer.choices, "list": [answer.message]}

    async def annotated():  # type: ignore[no-untyped-def]  # noqa: ANN202  (annotated below: FastAPI wants it real)
        return completion()

    annotated.__annotations__["return"] = ChatCompletion
    app.get("/annotated")(annotated)

    async def listed():  # type: ignore[no-untyped-def]  # noqa: ANN202  (the same)
        return [completion().usage]

    listed.__annotations__["return"] = list[Usage | None]
    app.get("/listed")(listed)

    @app.get("/any")
    async def anything() -> dict[str, Any]:
        return {"usage": completion().usage, "answers": [completion()]}

    async def some() -> Any:
        return completion().usage

    some.__annotations__["return"] = Usage | None
    app.get("/some")(some)

    @app.get("/model", response_model=ChatCompletion)
    async def model():  # type: ignore[no-untyped-def]  # noqa: ANN202  (the same)
        return completion().model_dump()

    @app.get("/lean", response_model=ChatCompletion, response_model_exclude_none=True)
    async def lean():  # type: ignore[no-untyped-def]  # noqa: ANN202  (the same)
        return completion()

    @app.get("/few", response_model=ChatCompletion, response_model_include={"id", "usage"})
    async def few():  # type: ignore[no-untyped-def]  # noqa: ANN202  (the same)
        return completion()

    class Reply(BaseModel):
        text: str
        usage: Usage | None = None

    @app.get("/held", response_model=Reply)
    async def held():  # type: ignore[no-untyped-def]  # noqa: ANN202  (the same)
        answer = completion()
        return {"text": answer.text, "usage": answer.usage}

    @app.get("/parsed", response_model=ParsedChatCompletion[City])
    async def parsed():  # type: ignore[no-untyped-def]  # noqa: ANN202  (the same)
        return Expected({"response_format": City}).read(completion())

    @app.get("/vectors", response_model=CreateEmbeddingResponse)
    async def embedded():  # type: ignore[no-untyped-def]  # noqa: ANN202  (the same)
        return vectors()

    return app


@pytest.fixture
def site() -> TestClient:
    return TestClient(web())


FIELDS = msgspec.to_builtins(wire.read_completion(RAW, Meta()))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/bare", FIELDS),
        (
            "/nested",
            {"usage": FIELDS["usage"], "choices": FIELDS["choices"], "list": [FIELDS["choices"][0]["message"]]},
        ),
        ("/annotated", FIELDS),
        ("/listed", [FIELDS["usage"]]),
        ("/any", {"usage": FIELDS["usage"], "answers": [FIELDS]}),
        ("/some", FIELDS["usage"]),
        ("/model", FIELDS),
        ("/few", {"id": "c-1", "usage": FIELDS["usage"]}),
        ("/held", {"text": '{"city": "Oslo"}', "usage": FIELDS["usage"]}),
        ("/vectors", msgspec.to_builtins(vectors())),
    ],
)
def test_fastapi_sends_the_fields_and_nothing_else(site: TestClient, path: str, body: object) -> None:
    given = site.get(path)
    assert given.status_code == 200
    assert given.json() == body
    assert SECRET not in given.text


def test_fastapi_leaves_out_what_is_none_when_asked(site: TestClient) -> None:
    given = site.get("/lean").json()
    assert given["choices"][0]["message"].keys() == {"role", "content", "tool_calls"}
    assert "system_fingerprint" not in given


def test_fastapi_sends_what_was_parsed(site: TestClient) -> None:
    message = site.get("/parsed").json()["choices"][0]["message"]
    assert message["parsed"] == {"city": "Oslo"}


def test_answers_stand_in_openapi_with_their_fields(site: TestClient) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        described = site.get("/openapi.json").json()
    schemas = described["components"]["schemas"]
    assert {"ChatCompletion", "ChatChoice", "ChatMessage", "Usage", "ToolCall"} <= set(schemas)
    answer = described["paths"]["/annotated"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    assert answer == {"$ref": "#/components/schemas/ChatCompletion"}
    assert schemas["ChatCompletion"]["type"] == "object"
    assert schemas["ChatCompletion"]["properties"].keys() == set(ChatCompletion.__struct_encode_fields__)
    assert schemas["ChatCompletion"]["properties"]["choices"]["items"] == {"$ref": "#/components/schemas/ChatChoice"}
    assert schemas["Usage"]["properties"]["prompt_tokens"]["anyOf"] == [{"type": "integer"}, {"type": "null"}]
    assert schemas["Embedding"]["properties"]["embedding"]
    assert schemas["ParsedChatCompletionMessage_City"]["properties"]["parsed"]["anyOf"][0] == {
        "$ref": "#/components/schemas/City"
    }


class Holder(BaseModel):
    answer: ChatCompletion | None = None
    usage: Usage


def test_pydantic_models_hold_answers_as_they_are() -> None:
    answer = completion()
    assert answer.usage is not None
    holder = Holder(answer=answer, usage=answer.usage)
    assert holder.answer is answer
    assert holder.answer.raw == RAW
    assert holder.model_dump() == {"answer": FIELDS, "usage": FIELDS["usage"]}
    assert holder.model_dump(exclude_none=True)["usage"].keys() >= {"prompt_tokens"}
    assert holder.model_dump(include={"usage": {"prompt_tokens"}}) == {"usage": {"prompt_tokens": 3}}
    assert "completion_tokens" not in holder.model_dump(exclude={"usage": {"completion_tokens"}})["usage"]
    again = Holder.model_validate_json(holder.model_dump_json())
    assert again.answer == answer
    assert isinstance(again.usage, Usage)
    assert SECRET not in holder.model_dump_json()
    assert Holder.model_json_schema()["$defs"]["Usage"]["type"] == "object"


@pytest.mark.parametrize("value", [5, "x", ["x"], {"prompt_tokens": "many"}])
def test_pydantic_is_reported_what_does_not_fit(value: object) -> None:
    with pytest.raises(pydantic.ValidationError):
        TypeAdapter(Usage).validate_python(value)


def test_pydantic_reads_what_the_api_writes() -> None:
    read = TypeAdapter(ChatCompletion).validate_json(RAW)
    assert read == completion()
    nulls = {"choices": [{"message": {"content": "x", "role": None}}], "created": None}
    assert TypeAdapter(ChatCompletion).validate_python(nulls).text == "x"
    parsed = TypeAdapter(ParsedChatCompletion[City]).validate_python(
        {"choices": [{"message": {"content": "", "parsed": {"city": "Oslo"}}}]}
    )
    assert parsed.message.parsed == City(city="Oslo")


def test_what_was_parsed_is_dumped_with_it() -> None:
    parsed: ParsedChatCompletion[Town] = Expected[Town]({"response_format": Town}).read(completion())
    dumped = TypeAdapter(ParsedChatCompletion[Any]).dump_python(parsed)
    assert dumped["choices"][0]["message"]["parsed"] == {"city": "Oslo"}


def test_every_struct_has_a_schema() -> None:
    waiting, seen = [Plain], 0
    while waiting:
        cls = waiting.pop()
        waiting += [each for each in cls.__subclasses__() if each.__module__.startswith("tutuclient.")]
        if cls.__struct_fields__:
            schema = TypeAdapter(cls).json_schema(mode="serialization")
            assert (schema.get("properties") or schema["$defs"][cls.__name__]["properties"]).keys() == set(
                cls.__struct_encode_fields__
            )
            seen += 1
    assert seen > 40
    assert issubclass(ChatCompletion, Traced)


def test_pydantic_is_not_imported_for_it() -> None:
    code = f"""
        import asyncio, sys
        from tutuclient import TutuClient
        from tutuclient.testing import serve_in_thread

        async def main(url):
            async with TutuClient("any", url) as client:
                answer = await client.analyze({PNG!r}, "hi", model="m")
                print(len(dict(answer)), len(vars(answer.usage)))

        with serve_in_thread() as server:
            asyncio.run(main(server.base_url))
        print(*(name for name in ("pydantic", "pydantic_core", "fastapi") if name in sys.modules))
    """
    run = subprocess.run(  # noqa: S603  (our own code)
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=True
    )
    assert run.stdout.split() == ["10", "7"]


def public_types() -> dict[str, Any]:
    rooms = [
        tutuclient,
        *(importlib.import_module(f"tutuclient.{name}") for name in ("types", "compat", "compat.types")),
    ]
    rooms += [
        importlib.import_module(f"{each.name}") for each in pkgutil.walk_packages(types.__path__, "tutuclient.types.")
    ]
    found: dict[str, Any] = {}
    for room in rooms:
        for name in getattr(room, "__all__", None) or [name for name in vars(room) if not name.startswith("_")]:
            value = getattr(room, name)
            if inspect.isclass(value) and value.__module__.startswith("tutuclient"):
                found[f"{value.__module__}.{value.__name__}"] = value
    return found


def public_calls() -> dict[str, Any]:
    """The calls whose arguments are no files: what a file may be names Pillow, which may not be there."""
    pages = [Completions, TextCompletions, Embeddings, Models]
    return {
        f"{page.__module__}.{name}": call
        for page in pages
        for name, call in vars(page).items()
        if inspect.isfunction(call) and not name.startswith("_")
    }


# Source: issue 10, section 7, row 1: ``get_type_hints(ImageEditFields)`` raised NameError.
@pytest.mark.parametrize("kind", public_types().values(), ids=public_types())
def test_every_public_type_resolves(kind: Any) -> None:
    assert isinstance(get_type_hints(kind), dict)


@pytest.mark.parametrize("call", public_calls().values(), ids=public_calls())
def test_the_signatures_of_calls_resolve(call: Any) -> None:
    assert get_type_hints(call)


def test_fields_resolve_to_what_they_are() -> None:
    assert len(public_types()) > 140
    assert len(public_calls()) >= 9
    assert get_type_hints(ImageEditFields)["svg"] == Mapping[str, Any] | None
    assert get_type_hints(ChatFields)["web_search_options"] == Mapping[str, Any] | None
    # openai's description has no null for it.
    assert type(None) not in get_args(get_type_hints(ChatFields)["tools"])


# Source: issue 10, section 3: what a web app returns.
def test_a_balance_is_returned_as_answers_are() -> None:
    balance = Balance(remaining=1.5, unit="USD")
    assert dict(balance) == vars(balance) == msgspec.to_builtins(balance)
    assert json.loads(TypeAdapter(Balance).dump_json(balance)) == dict(balance)
    assert TypeAdapter(dict[str, Any]).dump_python({"left": balance}, mode="json") == {"left": dict(balance)}
    assert "remaining" in TypeAdapter(Balance).json_schema()["properties"]
    assert pickle.loads(pickle.dumps(balance)) == balance  # noqa: S301  (our own bytes)


def test_a_conversation_is_returned_as_it_is_written() -> None:
    message = user("hi", image("https://relay.example/a.png"))
    parts = [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": "https://relay.example/a.png"}}]
    assert dict(message) == {"role": "user", "content": parts}
    assert dict(TextPart("hi")) == parts[0]


def test_an_image_in_a_conversation_is_shown_and_not_read() -> None:
    seen = dict(user(image("cat.png")))
    assert "cat.png" in str(seen["content"][0]["image_url"]["url"])


CALL = {
    "status_code": 200,
    "request_id": "r",
    "attempts": 2,
    "waited_s": 0.0,
    "headers_s": 0.5,
    "elapsed_s": 1.0,
    "warnings": ["odd"],
}


def test_how_a_call_went_is_sent_without_its_headers() -> None:
    """They are for the caller: they may hold cookies, and name the account at the upstream."""
    meta = Meta(200, {"x-request-id": "r", "Set-Cookie": SECRET}, 2, 0.0, 0.5, 1.0, ("odd",))
    app = FastAPI()

    @app.get("/bare")
    async def bare():  # type: ignore[no-untyped-def]  # noqa: ANN202  (an endpoint as people write it)
        return {"meta": meta}

    @app.get("/any")
    async def anything() -> dict[str, Any]:
        return {"meta": meta}

    class Reply(BaseModel):
        meta: Meta

    @app.get("/held", response_model=Reply)
    async def held():  # type: ignore[no-untyped-def]  # noqa: ANN202  (the same)
        return {"meta": meta}

    site = TestClient(app)
    for path in ("/bare", "/any", "/held"):
        given = site.get(path)
        assert (given.status_code, given.json()) == (200, {"meta": CALL})
        assert SECRET not in given.text
    assert site.get("/openapi.json").json()["components"]["schemas"]["Reply"]
    assert dict(meta) == CALL | {"warnings": ("odd",)}
    with pytest.raises(TypeError):
        vars(meta)
    again = TypeAdapter(Meta).validate_json(TypeAdapter(Meta).dump_json(meta))
    assert (again.status_code, again.attempts, again.warnings) == (200, 2, ("odd",))
    assert TypeAdapter(Meta).validate_python(meta) is meta

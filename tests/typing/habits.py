"""Everyday programs as typed users write them, without a cast. Only type-checked, never run."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, assert_type

from msgspec import Struct

from tutuclient import (
    APIResponse,
    APIStatusError,
    APITimeoutError,
    ChatCompletion,
    ChatStream,
    Completion,
    EventStream,
    ImagesResponse,
    ImageStreamEvent,
    InsufficientQuotaError,
    Message,
    Meta,
    OpenResponse,
    OutcomeUnknownError,
    RateLimitError,
    Request,
    Spent,
    Transcription,
    TranscriptionDiarized,
    TranscriptionStreamEvent,
    TranscriptionVerbose,
    TutuClient,
    TutuError,
    image,
    system,
    user,
)
from tutuclient.types import ChatFields, ContentDeltaEvent, ContentDoneEvent, FunctionToolCallArgumentsDoneEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping


class Weather(Struct):
    city: str


class Bot:
    """Keeps its conversation, as most programs around a model do."""

    def __init__(self, client: TutuClient) -> None:
        self.client = client
        self.messages: list[dict[str, object]] = []
        self.fields: ChatFields = {"temperature": 0.2, "max_tokens": 100}
        self.odd_fields: dict[str, Any] = {"top_k": 5}

    def say(self, role: str, text: str, pictures: list[str] | None = None) -> None:
        content: list[dict[str, object]] = [{"type": "text", "text": text}]
        content.extend({"type": "image_url", "image_url": {"url": url}} for url in pictures or [])
        self.messages.append({"role": role, "content": content})

    async def answer(self) -> str:
        completion = await self.client.chat.completions.create(
            model="m", messages=self.messages, extra_body=self.odd_fields, **self.fields
        )
        assert_type(completion, ChatCompletion)
        self.messages.append({"role": "assistant", "content": completion.text})
        return completion.text

    async def pieces(self) -> AsyncIterator[str]:
        stream = await self.client.chat.completions.create(model="m", messages=self.messages, stream=True)
        async with stream, aclosing(stream.text()) as texts:
            async for text in texts:
                yield text


async def messages_of_every_kind(client: TutuClient, texts: list[str]) -> None:
    create = client.chat.completions.create
    structs: list[Message] = [system("Be brief."), user("hi")]
    plain: list[dict[str, str]] = [{"role": "user", "content": text} for text in texts]
    tools: list[dict[str, object]] = [{"type": "function", "function": {"name": "look_up"}}]
    mixed = [{"role": "user", "content": [image("a.png"), {"type": "text", "text": "what?"}]}]
    await create(model="m", messages=structs)
    await create(model="m", messages=plain, web_search_options=None, moderation=None, safety_identifier=None)
    await create(model="m", messages=plain, prompt_cache_key=None)
    # openai's description has no null for it.
    await create(model="m", messages=plain, tools=None)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    await create(model="m", messages=tuple(plain), tools=tools, tool_choice={"type": "function", "function": {}})
    await create(model="m", messages=mixed, response_format={"type": "json_object"})
    asked = (create(model="m", messages=[{"role": "user", "content": text}]) for text in texts)
    assert_type(await asyncio.gather(*asked), list[ChatCompletion])


async def streams_by_a_flag(client: TutuClient, *, flag: bool, maybe: bool | None) -> None:
    hi = [user("hi")]
    assert_type(await client.chat.completions.create(model="m", messages=hi, stream=flag), ChatCompletion | ChatStream)
    answer = await client.chat.completions.create(model="m", messages=hi, stream=maybe)
    if isinstance(answer, ChatStream):
        async with answer:
            assert_type([chunk.text async for chunk in answer], list[str])
    else:
        assert_type(answer, ChatCompletion)
    assert_type(await client.analyze("a.png", "what?", stream=flag), ChatCompletion | ChatStream)
    assert_type(await client.edit("a.png", "sky", stream=flag), ChatCompletion | ChatStream)
    assert_type(await client.analyze(image("a.png"), "what?"), ChatCompletion)
    assert_type(await client.analyze([image("a.png"), "b.png", b"c"], "what?"), ChatCompletion)
    assert_type(await client.edit((path for path in [Path("a.png")]), "sky"), ChatCompletion)
    assert_type(await client.generate("a cat", stream=flag), ChatCompletion | ChatStream)
    assert_type(
        await client.completions.create(model="m", prompt="a", stream=flag), Completion | EventStream[Completion]
    )
    pictures = await client.images.generate(prompt="a cat", stream=flag)
    assert_type(pictures, ImagesResponse | EventStream[ImageStreamEvent])
    pictures = await client.images.edit(image="a.png", prompt="hat", stream=flag)
    assert_type(pictures, ImagesResponse | EventStream[ImageStreamEvent])
    assert_type(
        await client.audio.transcriptions.create(file="a.mp3", model="m", stream=flag),
        Transcription | TranscriptionVerbose | TranscriptionDiarized | str | EventStream[TranscriptionStreamEvent],
    )


async def files_of_every_kind(client: TutuClient, file: BinaryIO, paths: list[Path], names: list[str]) -> None:
    edit = client.images.edit
    await edit(image=file, prompt="hat")
    await edit(image=[file, b""], prompt="hat")
    await edit(image=BytesIO(), prompt="hat")
    await edit(image=("a.png", file, "image/png"), prompt="hat", mask=("m.png", b""))
    await edit(image=[("a.png", file), ("b.png", b"")], prompt="hat", markup=file)
    await edit(image=file, prompt="hat", markup=("m.png", b""), stream=True)
    await client.audio.transcriptions.create(file=file, model="m")
    await edit(image=paths, prompt="hat")
    await edit(image=tuple(names), prompt="hat")
    await client.analyze(paths, "what?")
    await client.embeddings.create(input=[[1, 2], [3]], model="m")
    await client.embeddings.create(input=names, model="m", encoding_format="float")
    for number, picture in enumerate((await client.images.generate(prompt="a cat", n=2)).images):
        assert_type(await picture.save(Path(f"{number}.png")), Path)
    sound = await client.audio.speech.create(model="m", voice="alloy", input="hi")
    assert_type(await sound.save("a.mp3", overwrite=True), Path)


async def events(client: TutuClient) -> None:
    async with client.chat.completions.stream(model="m", messages=[user("hi")], response_format=Weather) as stream:
        async for event in stream.events():
            if event.type == "content.delta":
                assert_type(event, ContentDeltaEvent)
                assert_type(event.snapshot, str)
            elif event.type == "content.done":
                assert_type(event, ContentDoneEvent[Weather])
                assert_type(event.parsed, Weather | None)
            elif isinstance(event, FunctionToolCallArgumentsDoneEvent):
                assert_type(event.arguments, str)


async def as_it_came(client: TutuClient) -> None:
    answer = await client.chat.completions.with_raw_response.create(model="m", messages=[user("hi")])
    assert_type(answer, APIResponse[ChatCompletion])
    assert_type(answer.parse().text, str)
    assert_type(answer.headers, "Mapping[str, str]")
    asked = await client.chat.completions.with_raw_response.create(model="m", messages=[user("hi")], stream=True)
    assert_type(asked.parse(), ChatStream)
    assert_type((answer.method, answer.url, answer.is_closed), tuple[str, str, bool])
    assert_type(asked.parse().response, Meta)
    parsed = await client.chat.completions.with_raw_response.parse(
        model="m", messages=[user("hi")], response_format=Weather
    )
    assert_type(parsed.parse().parsed, Weather | None)
    fields: dict[str, Any] = dict(answer.parse())
    assert_type(fields, dict[str, Any])
    page = client.with_options(timeout=5, max_retries=0).chat.completions.with_streaming_response
    async with page.create(model="m", messages=[user("hi")]) as response:
        assert_type(response, OpenResponse[ChatCompletion])
        async for line in response.iter_lines():
            assert_type(line, str)
        assert_type(await response.parse(), ChatCompletion)


async def careful(client: TutuClient) -> float | str | None:
    try:
        await client.images.generate(prompt="a cat")
    except InsufficientQuotaError as error:
        return error.message
    except RateLimitError as error:
        assert_type(error.response, Meta | None)
        return error.retry_after
    except APIStatusError as error:
        return f"{error.status_code} {error.code} {error.request_id}"
    except (APITimeoutError, OutcomeUnknownError) as error:
        return error.outcome
    except TutuError as error:
        return str(error)
    return None


async def log(request: Request, call_next: Callable[[Request], Awaitable[Any]]) -> Any:
    request.headers["X-Trace"] = f"{request.method} {request.attempt}"
    return await call_next(request)


async def watch(request: Request, call_next: Callable[[Request], Awaitable[object]]) -> object:
    request.fields = {**(request.fields or {}), "user": "me"}
    return await call_next(request)


def tell(spent: Spent) -> None:
    assert_type(spent.meta, Meta)


async def key() -> str:
    return "k"


def clients(queries: dict[str, str], headers: Mapping[str, str]) -> list[TutuClient]:
    return [
        TutuClient(key, middleware=[log, watch], attempt_middleware=(watch,), on_usage=tell),
        TutuClient("k", default_query=queries, default_headers=headers, on_usage=lambda spent: spent.usage),
    ]

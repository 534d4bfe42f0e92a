"""Uses every public name the way a typed program does. Only type-checked, never run."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

from tutuclient import (
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ChatCompletion,
    ChatCompletionChunk,
    ChatMessage,
    ChatStream,
    Completion,
    CompletionChoice,
    ConfigError,
    ConflictError,
    ContentPolicyError,
    ContextLengthError,
    CreateEmbeddingResponse,
    DownloadReason,
    Embedding,
    FirstTokenTimeoutError,
    GeneratedImage,
    Image,
    ImageDownloadError,
    ImagesResponse,
    ImageStreamEvent,
    ImagesUsage,
    IncompleteStreamError,
    InsufficientQuotaError,
    InternalServerError,
    MediaError,
    Message,
    Meta,
    Model,
    ModelList,
    NoImageError,
    NotFoundError,
    OpenAIError,
    Outcome,
    OutcomeUnknownError,
    ParsedChatCompletion,
    PayloadTooLargeError,
    PermissionDeniedError,
    PictureSource,
    PoolTimeoutError,
    RateLimitError,
    RequestWarning,
    RetryPolicy,
    StreamIdleTimeoutError,
    Timeout,
    ToolCall,
    TutuClient,
    TutuError,
    UnexpectedResponseError,
    UnprocessableEntityError,
    Upload,
    Usage,
    assistant,
    find_images,
    image,
    system,
    user,
)


async def verbs(client: TutuClient, source: PictureSource) -> None:
    answer = await client.analyze("cat.jpg", "what?", max_tokens=400)
    assert_type(answer, ChatCompletion)
    assert_type(await client.analyze([source, Path("b.png")], "what?", stream=True), ChatStream)
    edited = await client.edit("cat.jpg", "sky", model="gpt-4o-image")
    assert_type(edited.images[0], GeneratedImage)
    assert_type(await edited.images[0].save("sky.png", overwrite=True), Path)
    assert_type(await edited.images[0].read(), bytes)
    assert_type(await client.generate("a red panda", stream=True), ChatStream)
    assert_type(find_images(answer)[0], GeneratedImage)


async def chat(client: TutuClient) -> None:
    messages: list[Message] = [system("Be brief."), user("hi", image("a.png", detail="low")), assistant("yes?")]
    answer = await client.chat.completions.create(model="m", messages=messages, temperature=0, stop=["."], seed=None)
    assert_type(answer, ChatCompletion)
    assert_type(answer.text, str)
    assert_type(answer.usage, Usage | None)
    assert_type(answer.meta, Meta)
    assert_type(answer.message, ChatMessage)
    assert_type(answer.message.tool_calls, list[ToolCall] | None)
    stream = await client.chat.completions.create(model="m", messages=messages, stream=True)
    assert_type(stream, ChatStream)
    async for chunk in stream:
        assert_type(chunk, ChatCompletionChunk)
    async with client.chat.completions.stream(model="m", messages=[answer.message]) as again:
        async for piece in again.text():
            assert_type(piece, str)
        assert_type(await again.completion(), ParsedChatCompletion[None])


async def pages(client: TutuClient, source: PictureSource, names: list[str]) -> None:
    completion = await client.completions.create(model="m", prompt=names, max_tokens=5)
    assert_type(completion, Completion)
    assert_type(completion.choices, list[CompletionChoice])
    async with await client.completions.create(model="m", prompt="a", stream=True) as texts:
        async for event in texts:
            assert_type(event, Completion)

    vectors = await client.embeddings.create(input=names, model="m", dimensions=256)
    assert_type(vectors, CreateEmbeddingResponse)
    assert_type(vectors.data, list[Embedding])
    assert_type([each.embedding for each in vectors], list[list[float]])
    assert vectors.numpy().shape == (len(vectors), len(vectors.data[0].numpy()))

    made = await client.images.generate(prompt="a cat", n=2, size="1024x1024", response_format="b64_json")
    assert_type(made, ImagesResponse)
    assert_type(made.data, list[Image])
    assert_type(made.images, list[GeneratedImage])
    assert_type(made.usage, ImagesUsage | None)
    assert_type(await client.images.edit(image=["a.png", source], prompt="hat", mask=Path("m.png")), ImagesResponse)
    assert_type(await client.images.edit(image=("a.png", b""), prompt="hat"), ImagesResponse)
    assert_type(await client.images.create_variation(image=b"", n=2), ImagesResponse)
    async with await client.images.generate(prompt="a cat", stream=True, partial_images=2) as drafts:
        async for draft in drafts:
            assert_type(draft, ImageStreamEvent)
            assert_type(draft.images, list[GeneratedImage])


async def settings() -> None:
    client = TutuClient(timeout=Timeout(total=None), retry=RetryPolicy(max_retries=0), verify="ca.pem")
    assert_type(client.with_options(timeout=None), TutuClient)
    models = await client.models.list()
    assert_type(models, ModelList)
    assert_type([model.id for model in models], list[str])
    assert_type(await client.models.retrieve("m"), Model)


def errors(error: TutuError) -> None:
    assert_type(error.outcome, Outcome | None)
    assert_type(ImageDownloadError().reason, DownloadReason | None)
    trees: list[tuple[type[TutuError], type[Exception]]] = [
        (TutuError, OpenAIError),
        (ConfigError, ValueError),
        (MediaError, ValueError),
        (NoImageError, IndexError),
        (ImageDownloadError, TutuError),
        (APIError, TutuError),
        (APIResponseValidationError, APIError),
        (UnexpectedResponseError, APIResponseValidationError),
        (APIStatusError, APIError),
        (BadRequestError, APIStatusError),
        (ContextLengthError, BadRequestError),
        (ContentPolicyError, BadRequestError),
        (AuthenticationError, APIStatusError),
        (PermissionDeniedError, APIStatusError),
        (NotFoundError, APIStatusError),
        (ConflictError, APIStatusError),
        (PayloadTooLargeError, APIStatusError),
        (UnprocessableEntityError, APIStatusError),
        (RateLimitError, APIStatusError),
        (InsufficientQuotaError, RateLimitError),
        (InternalServerError, APIStatusError),
        (APIConnectionError, APIError),
        (OutcomeUnknownError, APIConnectionError),
        (IncompleteStreamError, APIConnectionError),
        (APITimeoutError, TimeoutError),
        (PoolTimeoutError, APITimeoutError),
        (FirstTokenTimeoutError, APITimeoutError),
        (StreamIdleTimeoutError, APITimeoutError),
    ]
    assert trees
    assert issubclass(RequestWarning, UserWarning)
    if isinstance(error, APIError):
        assert_type(error.partial, ChatCompletion | None)
    uploads: list[Upload] = [Upload(b"")]
    assert uploads

"""A notebook, run by a real kernel: what completes, what is shown, what comes as it comes."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import jedi
import pytest
from jupyter_client.manager import KernelManager

from tutuclient import TutuClient
from tutuclient.compat import AsyncOpenAI

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jupyter_client.blocking.client import BlockingKernelClient

CLIENT = TutuClient("any-key", "http://127.0.0.1:9/v1")
COMPAT = AsyncOpenAI(api_key="any-key", base_url="http://127.0.0.1:9/v1")
# A few of each call's keywords: the first and the last of what it names itself, fields, and the options of every call.
CALLS: dict[str, tuple[str, ...]] = {
    "chat.completions.create": ("messages", "model", "stream", "temperature", "web_search_options", "tools", "timeout"),
    "chat.completions.stream": ("messages", "response_format", "top_p", "extra_body"),
    "chat.completions.parse": ("messages", "response_format", "top_p", "extra_body"),
    "chat.completions.run_tools": ("messages", "max_rounds", "seed", "extra_headers"),
    "completions.create": ("prompt", "best_of", "timeout"),
    "embeddings.create": ("input", "dimensions", "timeout"),
    "images.generate": ("prompt", "size", "partial_images", "timeout"),
    "images.edit": ("image", "mask", "input_fidelity", "timeout"),
    "images.create_variation": ("image", "n", "timeout"),
    "images.submit": ("prompt", "size", "timeout"),
    "audio.speech.create": ("input", "voice", "speed", "timeout"),
    "audio.speech.stream": ("input", "voice", "speed", "timeout"),
    "audio.transcriptions.create": ("file", "language", "stream", "timeout"),
    "audio.translations.create": ("file", "prompt", "timeout"),
    "models.list": ("extra_query", "timeout"),
    "models.retrieve": ("model", "timeout"),
    "analyze": ("images", "prompt", "detail", "temperature", "extra_body", "timeout"),
    "edit": ("images", "prompt", "max_side", "seed", "timeout"),
    "generate": ("prompt", "model", "seed", "timeout"),
    "map": ("items", "journal", "resend_unknown", "temperature", "timeout"),
    "post": ("cast_to", "body", "makes_image", "timeout"),
    "get": ("cast_to", "extra_query"),
    "with_options": ("api_key", "max_retries"),
    "chat.completions.with_raw_response.create": ("messages", "temperature"),
    "images.with_streaming_response.generate": ("prompt", "size"),
}


def completed(text: str, client: object) -> set[str]:
    found = jedi.Interpreter(text, [{"client": client}]).complete()
    return {each.name.removesuffix("=") for each in found if each.name.endswith("=")}


@pytest.mark.parametrize("call", CALLS)
def test_the_keywords_of_a_call_complete(call: str) -> None:
    assert set(CALLS[call]) <= completed(f"client.{call}(", CLIENT)


def test_openais_names_have_them_too() -> None:
    assert set(CALLS["chat.completions.create"]) <= set(inspect.signature(COMPAT.chat.completions.create).parameters)


def test_create_completes_as_many_as_openai_does() -> None:
    assert len(completed("client.chat.completions.create(", CLIENT)) >= 41


def test_what_calls_accept_besides_stays_in_their_signatures() -> None:
    signature = inspect.signature(CLIENT.chat.completions.create)
    signature.bind(model="m", messages=[], enable_thinking=True)
    assert list(signature.parameters)[-1] == "fields"


@pytest.fixture(scope="module")
def kernel() -> Iterator[BlockingKernelClient]:
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel()
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        yield client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.mark.slow
def test_a_kernel_completes_them(kernel: BlockingKernelClient) -> None:
    kernel.execute("from tutuclient import TutuClient; client = TutuClient('k', 'http://127.0.0.1:9/v1')", reply=True)
    code = "await client.chat.completions.create("
    reply: dict[str, Any] = kernel.complete(code, len(code), reply=True, timeout=60)
    matches = {each.removesuffix("=") for each in reply["content"]["matches"] if each.endswith("=")}
    assert set(CALLS["chat.completions.create"]) <= matches

"""A notebook, run by a real kernel: what completes, what is shown, what comes as it comes."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import jedi
import nbformat
import pytest
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from nbformat.v4 import new_code_cell, new_notebook

from tests.media.test_html import check
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


# What people write, with a relay that is hostile. Addresses of its own must not be asked for by anybody.
CELLS = (
    """
from tutuclient import TutuClient
from tutuclient.testing import draws, fails, says, serve
serving = serve()
server = await serving.__aenter__()
client = TutuClient("any-key", server.base_url)
EVIL = '<script>document.title = "owned"</script><img src=x onerror="document.title = 1"> [a](javascript:alert(1))'
HOSTED = f"{server.origin}/evil.png"
""",
    """
server.answers(says(EVIL + f" ![a]({HOSTED}) \u202egpj.exe", model=EVIL, finish_reason=EVIL, id=EVIL))
await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
""",
    """
server.answers(draws(form="b64"))
answer = await client.generate("a cat")
answer
""",
    "answer.images[0]",
    """
server.answers(says(f"![a]({HOSTED})"))
(await client.generate("a cat")).images[0]
""",
    """
server.answers(says("one two three " * 20 + EVIL, token_delay=0.02))
stream = await client.chat.completions.create(
    model="m", messages=[{"role": "user", "content": "count"}], stream=True
)
await stream.show()
""",
    """
server.answers(*[says("a cat") for _ in range(39)], fails(400, EVIL))
run = client.map([b"\\x89PNG\\r\\n\\x1a\\n" + bytes([n]) * 64 for n in range(40)], "What?", progress=True)
results = await run.gather()
run
""",
    """
asked = [request.path for request in server.requests if "evil" in request.path]
await client.aclose()
await serving.__aexit__(None, None, None)
print(len(results), asked)
""",
)


@pytest.fixture(scope="module")
def executed() -> nbformat.NotebookNode:
    cells = [new_code_cell(code.strip()) for code in CELLS]
    notebook = new_notebook(cells=cells)
    client = NotebookClient(notebook, timeout=60, kernel_name="python3")
    client.execute()
    return notebook


def outputs(notebook: nbformat.NotebookNode, cell: int) -> list[dict[str, Any]]:
    return [dict(output) for output in notebook.cells[cell].outputs]


@pytest.mark.slow
def test_a_notebook_runs_from_top_to_bottom(executed: nbformat.NotebookNode) -> None:
    assert outputs(executed, 7)[0]["text"] == "40 []\n"
    assert len(nbformat.writes(executed)) < 500_000


@pytest.mark.slow
def test_what_a_relay_sent_is_text_in_it(executed: nbformat.NotebookNode) -> None:
    for number in range(1, 7):
        for output in outputs(executed, number):
            page = output.get("data", {}).get("text/html", "")
            check(page)
    (answer,) = outputs(executed, 1)
    assert '<script>document.title = "owned"</script>' in check(answer["data"]["text/html"]).text
    assert "\\u202egpj.exe" in answer["data"]["text/html"]


@pytest.mark.slow
def test_images_are_in_it_and_addresses_are_words(executed: nbformat.NotebookNode) -> None:
    (answer,), (image,), (hosted,) = (outputs(executed, number) for number in (2, 3, 4))
    assert '<img src="data:image/png;base64,' in answer["data"]["text/html"]
    assert image["data"]["image/png"]
    assert "text/html" not in image["data"]
    assert "await image.save(…) fetches it" in hosted["data"]["text/html"]


@pytest.mark.slow
def test_a_stream_and_a_run_have_one_output_each(executed: nbformat.NotebookNode) -> None:
    (shown,) = outputs(executed, 5)
    assert check(shown["data"]["text/html"]).text.startswith("one two three one")
    progress, summary = outputs(executed, 6)
    assert progress["data"]["text/plain"].startswith("40 of 40 · 1 failed · ")
    assert '<progress value="40" max="40">' in progress["data"]["text/html"]
    assert "39 answered, 1 failed" in summary["data"]["text/html"]


@pytest.mark.slow
def test_its_export_has_them_too(executed: nbformat.NotebookNode) -> None:
    body, _ = HTMLExporter().from_notebook_node(executed)
    assert "one two three" in body
    assert '<script>document.title = "owned"' not in body


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

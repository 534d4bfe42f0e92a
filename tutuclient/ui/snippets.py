"""A request of the page as code: Python with this package, and a line of curl. The key is in neither."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any, Final

from tutuclient.media.kinds import IMAGES
from tutuclient.ui.images import file_name

if TYPE_CHECKING:
    from tutuclient.ui.calls import Asked

# Of characters that JSON leaves as they are: controls, and marks that reverse what stands in a line, so that code would
# not read as it runs (CVE-2021-42574).
_UNSEEN: Final = re.compile(r"[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_SPLIT: Final = "data:…"


def _literal(text: str) -> str:
    """Return text as a literal of both JSON and Python."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(text, ensure_ascii=False))


def as_python(asked: Asked, name: str, base_url: str) -> str:
    """Return a whole program that makes the same call.

    Args:
        asked: The request.
        name: The name of its image's file; ignored where there is none.
        base_url: The relay's address.
    """
    prompt, model = _literal(asked.prompt), _literal(asked.model)
    image = "" if asked.task == "generate" else f"{_literal(file_name(name))}, "
    call = {"ask": "analyze", "edit": "edit", "generate": "generate"}[asked.task]
    if asked.task == "ask":
        body = (
            f"        async with await client.{call}({image}{prompt}, model={model}, stream=True) as answer:\n"
            "            async for piece in answer.text():\n"
            '                print(piece, end="", flush=True)\n'
        )
    else:
        body = (
            f"        answer = await client.{call}({image}{prompt}, model={model})\n"
            "        for image in answer.images:\n"
            f"            print(await image.save({_literal(_made_name(name, asked.task))}))\n"
        )
    return (
        "import asyncio\n\n"
        "from tutuclient import TutuClient\n\n\n"
        "async def main() -> None:\n"
        "    # The key is read from TUTU_API_KEY.\n"
        f"    async with TutuClient(base_url={_literal(base_url)}) as client:\n"
        f"{body}\n\n"
        "asyncio.run(main())\n"
    )


def as_curl(asked: Asked, name: str, base_url: str) -> str:
    """Return a command for a POSIX shell that makes the same call; arguments as for ``as_python``."""
    url = shlex.quote(f"{base_url}/chat/completions")
    content: Any = asked.prompt
    if asked.task != "generate":
        part = {"type": "image_url", "image_url": {"url": _SPLIT, "detail": "high"}}
        content = [{"type": "text", "text": asked.prompt}, part]
    body: dict[str, Any] = {"model": asked.model, "messages": [{"role": "user", "content": content}]}
    if asked.task == "ask":
        body["stream"] = True
    text = _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(body, ensure_ascii=False))
    head = f"curl -N {url}" if asked.task == "ask" else f"curl {url}"
    options = "  -H \"Authorization: Bearer $TUTU_API_KEY\" \\\n  -H 'Content-Type: application/json' \\\n  "
    if asked.task == "generate":
        return f"{head} \\\n{options}--data-raw {shlex.quote(text)}\n"
    # The mark stands between quotes, where a prompt's own quotes are escaped, so that it is found in no prompt.
    before, _, after = text.rpartition(f'"{_SPLIT}"')
    before, after = f'{before}"data:{_mime_of(name)};base64,', f'"{after}'
    file = shlex.quote(file_name(name))
    return (
        "{\n"
        f"  printf '%s' {shlex.quote(before)}\n"
        f"  base64 < {file} | tr -d '\\n'\n"
        f"  printf '%s' {shlex.quote(after)}\n"
        f"}} | {head} \\\n{options}--data-binary @-\n"
    )


def _made_name(name: str, task: str) -> str:
    """Return a name for the result, without an ending: ``save`` adds the one that fits its bytes."""
    return "generated" if task == "generate" else f"{file_name(name).rpartition('.')[0] or 'image'}-edited"


def _mime_of(name: str) -> str:
    """Return the media type by an ending that ``file_name`` has chosen by the bytes."""
    ending = f".{name.rpartition('.')[2].lower()}"
    return next((kind.mime for kind in IMAGES if ending in kind.extensions), "image/png")

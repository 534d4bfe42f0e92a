"""Runs made without a relay, and reports read back as a browser would read them."""

from __future__ import annotations

import ast
import json
from typing import TYPE_CHECKING, Any

from tutuclient.batch.lines import Record, encode

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

BEGAN = 1_790_000_000.0
HOSTILE = (
    "</script><script>window.owned = 1</script><img src=x onerror='window.owned = 1'>"
    "\u2028\u2029\0\x1b\u202egpj.exe\u202c \\' \" ` ${window.owned = 1} {{7*7}} __proto__ <!--"
)


def key(number: int) -> str:
    return f"{number + 1:016x}"


def ok(number: int, **fields: Any) -> Record:
    given = {"id": f"item{number}", "res": f"answer {number}", "dur": 1.5, "tin": 100, "tout": 20, "att": 1, "st": 200}
    return Record(k="ok", key=key(number), t=BEGAN + number, **{**given, "model": "m", "fin": "stop", **fields})


def fail(number: int, cls: str = "RateLimitError", outcome: str = "rejected", **fields: Any) -> Record:
    given = {"id": f"item{number}", "err": f"the relay answered with error {number}", "dur": 2.0, "att": 1}
    return Record(k="fail", key=key(number), t=BEGAN + number, cls=cls, outcome=outcome, **{**given, **fields})


def sent(number: int, **fields: Any) -> Record:
    return Record(k="sent", key=key(number), t=BEGAN + number, **{"id": f"item{number}", **fields})


def make_run(folder: Path, records: Iterable[Record], **config: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    whole = {"task": "ask", "prompt": "这张图片有什么", "model": "gpt-4o", **config}
    (folder / "run.json").write_text(json.dumps({"format": 1, "created": BEGAN, "config": whole}), encoding="utf-8")
    with (folder / "journal.jsonl").open("wb") as file:
        file.writelines(map(encode, records))
    return folder


def called(path: Path) -> Any:
    """Return what a file of data passes on; Python reads its string as JavaScript does."""
    text = path.read_text(encoding="utf-8")
    return json.loads(ast.literal_eval(text[text.index("'") : text.rindex("'") + 1]))


def summary(report: Path) -> dict[str, Any]:
    found: dict[str, Any] = called(report / "data" / "summary.js")
    return found


def rows(report: Path) -> list[dict[str, Any]]:
    count = len(summary(report)["codes"])
    return [row for number in range(count) for row in called(report / "data" / f"{number}.js")]

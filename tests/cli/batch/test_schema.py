"""A JSON schema from a file, as a type."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tutuclient import ConfigError
from tutuclient.cli.batch.schema import answer_type, read_schema
from tutuclient.tools import MisfitError, Shape

if TYPE_CHECKING:
    from pathlib import Path

SIGHT: dict[str, Any] = {
    "type": "object",
    "properties": {"what": {"type": "string"}, "count": {"type": "integer"}},
    "required": ["what"],
}


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (SIGHT, "sight"),
        ({"type": "json_schema", "json_schema": {"name": "Seen", "schema": SIGHT}}, "Seen"),
        ({"name": "Seen", "schema": SIGHT}, "sight"),
    ],
)
def test_a_schema_is_read_bare_and_as_the_api_has_it(tmp_path: Path, value: dict[str, Any], name: str) -> None:
    (tmp_path / "sight.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(value).encode())
    assert read_schema(tmp_path / "sight.json") == (SIGHT, name)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ("[]", "describes no object with fields"),
        ('{"type": "string"}', "describes no object with fields"),
        ('{"type": "object"}', "describes no object with fields"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_schema_is_said(tmp_path: Path, text: str | None, words: str) -> None:
    if text is not None:
        (tmp_path / "s.json").write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_schema(tmp_path / "s.json")


def test_an_answer_is_an_object_with_the_required_fields() -> None:
    shape = Shape(answer_type(SIGHT, "Seen"), "response_format")
    assert (shape.name, shape.schema) == ("Seen", SIGHT)
    assert shape.read('```json\n{"what": "a cat", "count": 2}\n```') == {"what": "a cat", "count": 2}
    for text, words in (
        ("[]", "not an object but a list"),
        ('{"count": 1}', "it has no what"),
        ("no", "Expecting value"),
    ):
        with pytest.raises(MisfitError, match=words):
            shape.read(text)

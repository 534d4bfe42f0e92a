"""A JSON schema from a file, as a type that ``response_format`` takes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tutuclient.errors import ConfigError, printable
from tutuclient.types.json import is_object

if TYPE_CHECKING:
    from pathlib import Path


def read_schema(path: Path) -> tuple[dict[str, Any], str]:
    """Read a JSON schema and its name: bare, or as ``response_format`` has it.

    Raises:
        ConfigError: It is none that an answer can have; nothing was sent.
    """
    shown = printable(str(path))
    try:
        value: Any = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ConfigError(f"the schema {shown} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"the schema {shown} is not JSON: {printable(str(error))}") from error
    name = path.stem
    for layer in ("json_schema", "schema"):
        if is_object(value) and is_object(value.get(layer)):
            value = value[layer]
            name = str(value.get("name") or name) if layer == "json_schema" else name
    if not is_object(value) or value.get("type") != "object" or not is_object(value.get("properties")):
        raise ConfigError(
            f'the schema {shown} describes no object with fields: write {{"type": "object", "properties": {{…}}}}'
        )
    return value, name


def answer_type(schema: dict[str, Any], name: str) -> type[Any]:
    """Return a type for ``response_format`` whose schema is this one, and whose values are plain dicts.

    It has the methods by which ``parse`` knows a model of pydantic, so that an answer that is cut off, filtered or not
    of the schema's fields fails as it does there. Of the schema only the required fields are checked: the relay holds
    the model to the rest.
    """

    class Answer:
        @staticmethod
        def model_json_schema() -> dict[str, Any]:
            return schema

        @staticmethod
        def model_validate(value: object) -> dict[str, Any]:
            # ``parse`` catches a ValueError, as pydantic's is.
            if not is_object(value):
                raise ValueError(f"it is not an object but a {type(value).__name__}")
            if missing := [field for field in schema.get("required", ()) if field not in value]:
                raise ValueError(f"it has no {', '.join(map(str, missing))}")
            return value

        @classmethod
        def model_validate_json(cls, data: bytes) -> dict[str, Any]:
            return cls.model_validate(json.loads(data))

    Answer.__name__ = name
    return Answer

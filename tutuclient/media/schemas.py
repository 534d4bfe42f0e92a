"""What pydantic, and so FastAPI, sees of an image or audio in an answer: its facts as JSON, and never its bytes.

Source: docs.pydantic.dev/latest/concepts/types, "Customizing validation with ``__get_pydantic_core_schema__``".
"""

from __future__ import annotations

import functools
from typing import Any, ClassVar


class Described:
    """A class whose instances are shown by some of their attributes.

    Attributes:
        SHOWN: Their names, and the type of each, all of which may be None.
    """

    __slots__ = ()
    SHOWN: ClassVar[tuple[tuple[str, type[Any]], ...]] = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema  # noqa: PLC0415  (whoever asks has it)

        fields = {
            name: core_schema.typed_dict_field(core_schema.nullable_schema(handler.generate_schema(kind)))
            for name, kind in cls.SHOWN
        }
        described = core_schema.typed_dict_schema(
            fields, config={"title": cls.__name__}, ref=f"tutuclient.{cls.__name__}"
        )
        return core_schema.is_instance_schema(
            cls, serialization=core_schema.plain_serializer_function_ser_schema(_facts, return_schema=described)
        )

    @property
    def __pydantic_serializer__(self) -> Any:
        # pydantic asks for it where there is no type: in a dict, behind Any.
        kind: Any = type(self)
        return _serializer_of(kind)


def _facts(shown: Described) -> dict[str, Any]:
    return {name: getattr(shown, name) for name, _ in shown.SHOWN}


@functools.cache
def _serializer_of(cls: type[Any]) -> Any:
    from pydantic import TypeAdapter  # noqa: PLC0415  (whoever asks has it)

    return TypeAdapter(cls).serializer

"""Embeddings: the fields of a request, and the vectors of an answer.

Source: ``POST /embeddings``.
"""

from __future__ import annotations

import array
import sys
from typing import TYPE_CHECKING, Any, Literal, TypedDict, cast

import msgspec

from tutuclient.errors import ConfigError
from tutuclient.types.base import Answer, Plain
from tutuclient.types.chat import Usage  # noqa: TC001  (msgspec reads annotations at run time)
from tutuclient.types.provenance import Traced, provenance

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    from numpy.typing import NDArray


class EmbeddingFields(TypedDict, total=False):
    """Every field of an embeddings request beside ``model`` and ``input``; as for ``ChatFields``."""

    dimensions: int
    encoding_format: Literal["float", "base64"]
    user: str


class Embedding(Plain, Traced, frozen=True, kw_only=True, repr_omit_defaults=True):
    """The vector of one input.

    Attributes:
        given: The numbers as they came: a list, or the bytes of little-endian 32-bit floats.
        index: Which of the inputs it belongs to, by the relay's word. Some write 0 everywhere: its place in ``data`` is
            the truth.
        object: What the relay calls it.
    """

    # msgspec decodes the base64 of a text to bytes. The JSON's type decides, not what was asked for: Gemini's and other
    # channels send lists of numbers all the same (.github/WIRE.md, section 1.8).
    given: list[float] | bytes = msgspec.field(default=b"", name="embedding")
    index: int = 0
    object: str = "embedding"

    @property
    def embedding(self) -> list[float]:
        """The d numbers of the vector."""
        given = self.given
        if isinstance(given, list):
            return given
        known = provenance(self)
        if known.cached is None:
            # Without NumPy; ``array`` has the machine's byte order, and the wire has little-endian (.github/WIRE.md,
            # section 1.8).
            numbers = array.array("f", given)
            if sys.byteorder == "big":
                numbers.byteswap()
            known.cached = numbers.tolist()
        return cast("list[float]", known.cached)

    def numpy(self) -> NDArray[np.float32]:
        """Return the vector as a NumPy array of d 32-bit floats, not to be written to.

        Raises:
            ConfigError: NumPy is not installed.
        """
        numpy = _numpy()
        if isinstance(self.given, bytes):
            vector: NDArray[np.float32] = numpy.frombuffer(self.given, dtype="<f4")
        else:
            vector = numpy.asarray(self.given, dtype=numpy.float32)
            # As ``frombuffer`` is by itself, over bytes: which of the two ways came does not show.
            vector.flags.writeable = False
        return vector

    def _fields(self) -> dict[str, Any]:
        return super()._fields() | {"embedding": self.embedding}

    def _filled(self, tree: dict[str, Any] | None) -> dict[str, Any]:
        return super()._filled(tree) | {"embedding": self.embedding}

    def __len__(self) -> int:
        return len(self.given) // 4 if isinstance(self.given, bytes) else len(self.given)

    def __repr__(self) -> str:
        return f"Embedding(index={self.index}, {len(self)} numbers)"


class CreateEmbeddingResponse(Answer, frozen=True, kw_only=True):
    """The answer of ``POST /embeddings``: n vectors of d floats, in the order of ``input``."""

    object: str = "list"
    data: list[Embedding] = []
    model: str = ""
    usage: Usage | None = None

    def numpy(self) -> NDArray[np.float32]:
        """Return all vectors as one NumPy array, n rows of d 32-bit floats.

        Raises:
            ConfigError: NumPy is not installed.
        """
        stacked: NDArray[np.float32] = _numpy().stack([each.numpy() for each in self.data])
        return stacked

    def __iter__(self) -> Iterator[Embedding]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)

    def keys(self) -> Iterable[str]:
        """Return the names of the fields: ``dict(answer)`` has these, though iterating gives the vectors."""
        return self._fields().keys()

    def __getitem__(self, name: str) -> Any:
        return self._fields()[name]


def _numpy() -> Any:
    try:
        import numpy  # noqa: ICN001, PLC0415  (an extra, and slow to import)
    except ImportError as error:
        raise ConfigError('numpy() needs NumPy: pip install numpy (the extra "numpy")') from error
    return numpy

"""Where a struct came from: the call, and the JSON it was read from, kept beside its fields.

It stands in a slot without a name, since encoders fall back on ``vars()``, on
``__slots__`` and on attributes, and would carry the whole raw answer out of a
process. The functions of this module are the only way to it.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, TypeAlias, cast

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import MemberDescriptorType

    from tutuclient._meta import Meta
    from tutuclient.media.audio import Sound
    from tutuclient.media.image import GeneratedImage

Raw: TypeAlias = bytes | bytearray | memoryview
Place: TypeAlias = tuple[Any, tuple[str | int, ...]]
"""Where a part of an answer stands: the answer's JSON, as bytes or as plain dicts, and the path down to the part.

Without a path, the first is no answer but the unknown fields of the part alone.
"""


class Origin:
    """The call that answers came from: what all chunks of one stream have in common.

    Attributes:
        meta: How the call went.
        find: Finds the images in an answer of this call.
        find_audio: Finds the audio in one; None where there can be none.
    """

    __slots__ = ("find", "find_audio", "meta")

    def __init__(
        self,
        meta: Meta,
        find: Callable[[Any], list[GeneratedImage]],
        find_audio: Callable[[Any], Sound | None] | None = None,
    ) -> None:
        self.meta: Meta = meta
        self.find: Callable[[Any], list[GeneratedImage]] = find
        self.find_audio: Callable[[Any], Sound | None] | None = find_audio

    def __reduce__(self) -> tuple[type[Origin], tuple[Any, ...]]:
        return Origin, (self.meta, self.find, self.find_audio)


class Provenance:
    """What is kept beside the fields of one struct.

    Attributes:
        origin: The call; None for a struct that was made by hand.
        raw: The JSON of an answer as it came, or b"".
        tree: The same as plain dicts, once it has been decoded; else None.
        place: Where a part of an answer stands in the answer's JSON, or None.
        unknown: Of an answer folded from a stream, the fields of its chunks that this client has no name for.
        cached: What the properties of the struct work from, or have computed: images, decoded bytes, pieces so far.
    """

    # Values of the class, so that the many that have two attributes are quick to create.
    origin: Origin | None = None
    place: Place | None = None
    unknown: dict[str, Any] | None = None

    def __init__(self, *, raw: Raw = b"", tree: dict[str, Any] | None = None, cached: Any = None) -> None:
        self.raw: Raw = raw
        self.tree: dict[str, Any] | None = tree
        self.cached: Any = cached


class Traced:
    """A struct with the slot that has no name."""

    __slots__ = ("provenance",)


# A slot is a descriptor of its class, and works when the class no longer names it (CPython: Objects/descrobject.c,
# member_get and member_set).
_slot: MemberDescriptorType = vars(Traced)["provenance"]
del Traced.provenance  # type: ignore[attr-defined]  # mypy does not see slots
Traced.__slots__ = ()  # type: ignore[assignment]  # the slot stays; its name goes


remember: Callable[[Traced, Provenance | tuple[Origin | None, Raw] | Place], None] = _slot.__set__
"""Write where a struct came from.

There is one for each chunk and each part, and creating an object of each would count: so a pair serves for an answer
of which there is an origin and the raw JSON alone, and for a part, of which there is its ``Place``.
"""


def provenance(struct: Traced) -> Provenance:
    """Return what is kept with a struct, to be read and changed; it is empty for one that was made by hand."""
    try:
        found: Provenance | tuple[Any, Any] = _slot.__get__(struct)
    except AttributeError:
        found = Provenance()
        remember(struct, found)
    if isinstance(found, tuple):
        pair, found = found, Provenance()
        if isinstance(pair[1], tuple):
            found.place = pair
        else:
            found.origin, found.raw = pair
        remember(struct, found)
    return found


def set_origin(answer: Traced, origin: Origin, raw: Raw = b"") -> None:
    """Write the call that an answer came from; ``raw`` is its JSON where none is kept with it yet."""
    try:
        found: Provenance | tuple[Any, Any] = _slot.__get__(answer)
    except AttributeError:
        found = (None, raw)
    if isinstance(found, tuple):  # Still one: most answers are never asked for more.
        remember(answer, (origin, found[1] or raw))
    else:
        found.origin, found.raw = origin, found.raw or raw


def images_of(answer: Traced) -> list[GeneratedImage]:
    """Return the images in an answer, looked for once; a struct that was made by hand has none."""
    known = provenance(answer)
    if known.cached is None:
        known.cached = [] if known.origin is None else known.origin.find(answer)
    return cast("list[GeneratedImage]", known.cached)


def copy_provenance(source: Traced, target: Traced) -> None:
    """Write of a struct that it came from where another did; each may be changed by itself."""
    remember(target, copy(provenance(source)))

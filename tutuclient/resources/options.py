"""The options that every call takes beside the fields of its request.

They stand here and not in ``tutuclient.types``, which is below ``tutuclient.settings``, because a timeout is a setting.
The file of an endpoint joins them to its fields: ``class _Fields(EmbeddingFields, CallOptions)``. The public types of
fields go without them, so that typed code can write ``create(extra_body=…, **fields)``: a type checker takes no keyword
twice, and would count ``extra_body`` as one that ``fields`` may pass too.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  (``get_type_hints`` reads annotations at run time)
from typing import Any, Final, TypedDict

from tutuclient.settings import Timeout, Unset  # noqa: TC001  (likewise)


class RequestOptions(TypedDict, total=False):
    """The options of a call whose request has no fields of its own.

    Attributes:
        extra_headers: Headers for this call, over the client's; ``UNSET`` as a value removes one of the client's.
        extra_query: Query parameters for this call, over the client's.
        timeout: Seconds until the deadline, a ``Timeout``, or None for no limit; the client's when not passed.
    """

    extra_headers: Mapping[str, str] | None
    extra_query: Mapping[str, object] | None
    timeout: float | Timeout | Unset | None


class CallOptions(RequestOptions, total=False):
    """The options of a call that sends fields.

    Attributes:
        extra_body: Fields to write into the body, over those passed as keywords. They cause no ``RequestWarning``.
    """

    extra_body: Mapping[str, Any] | None


REQUEST_OPTIONS: Final = tuple(RequestOptions.__annotations__)

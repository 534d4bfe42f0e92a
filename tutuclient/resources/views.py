"""The two other faces of an endpoint: ``with_raw_response`` and ``with_streaming_response``.

A view has the calls of its endpoint under the same names, with the same arguments and overloads, and other results.
A file of an endpoint declares it next to the endpoint:

    class Embeddings(Resource):
        with_raw_response = viewed("raw", lambda: _Raw)
        with_streaming_response = viewed("open", lambda: _Open)
        …

    class _Raw(View):
        create = raw(Embeddings.create)

    class _Open(View):
        create = opened(Embeddings.create)
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Concatenate, Generic, Literal, ParamSpec, TypeVar, cast, overload

from tutuclient.resources.responses import APIResponse, OpenResponse, OpenResponseManager

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from typing import Self

    from tutuclient.resources.resource import Resource

P = ParamSpec("P")
T = TypeVar("T")
V = TypeVar("V")


class View:
    """Calls of an endpoint that return its answers in another form.

    Args:
        resource: The endpoint, set to return them so.
    """

    def __init__(self, resource: Resource) -> None:
        self._resource = resource


# Both return a plain function, since type checkers carry overloads over from a Callable to a Callable alone. As an
# attribute of a class it is a method, so its first argument is the view.


def raw(
    method: Callable[Concatenate[Any, P], Awaitable[T]],
) -> Callable[Concatenate[Any, P], Awaitable[APIResponse[T]]]:
    """Return a method of an endpoint as one that returns its answers raw."""

    @functools.wraps(method)
    def call(view: Any, /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[APIResponse[T]]:
        return cast("Awaitable[APIResponse[T]]", method(view._resource, *args, **kwargs))  # noqa: SLF001  (a View's)

    return call


def opened(
    method: Callable[Concatenate[Any, P], Awaitable[T]],
) -> Callable[Concatenate[Any, P], OpenResponseManager[T]]:
    """Return a method of an endpoint as one whose answer is entered, and read within the block."""

    @functools.wraps(method)
    def call(view: Any, /, *args: P.args, **kwargs: P.kwargs) -> OpenResponseManager[T]:
        calling: Awaitable[Any] = method(view._resource, *args, **kwargs)  # noqa: SLF001  (a View's)
        return OpenResponseManager(cast("Coroutine[Any, Any, OpenResponse[T]]", calling))

    return call


class viewed(Generic[V]):  # noqa: N801  (used as ``property`` is)
    """The property of an endpoint that has a view of it.

    Args:
        returning: What the calls of the view return: answers raw, or open.
        view: Returns the class of the view, which is defined behind the endpoint's own.
    """

    def __init__(self, returning: Literal["raw", "open"], view: Callable[[], Callable[[Resource], V]]) -> None:
        self._returning: Literal["raw", "open"] = returning
        self._view = view

    @overload
    def __get__(self, resource: None, owner: type[Resource]) -> Self: ...

    @overload
    def __get__(self, resource: Resource, owner: type[Resource]) -> V: ...

    def __get__(self, resource: Resource | None, owner: type[Resource]) -> V | Self:
        return self if resource is None else self._view()(resource.returning(self._returning))

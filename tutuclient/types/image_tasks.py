"""An order of images that the relay works on, and answers with a task in place of the images.

Sources: .github/WIRE.md, section 1.12.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from tutuclient._unset import UNSET
from tutuclient.errors import APIError, ConfigError

if TYPE_CHECKING:
    from typing import Self

    from tutuclient._meta import Meta
    from tutuclient._unset import Unset
    from tutuclient.types.images import ImagesResponse


class TaskSource(Protocol):
    """What asks a relay for its tasks: a client, as a task knows it."""

    async def poll(self, task: ImageTask) -> None:
        """Request the state of a task once, and store it in the task."""
        ...

    async def wait(self, task: ImageTask, timeout: float | Unset | None) -> ImagesResponse:
        """Poll a task until it is finished."""
        ...


class ImageTask:
    """Images that a relay makes while nobody is connected: ``await task.wait()`` returns them.

    ``client.images.submit`` returns one, and errors carry theirs in ``task``. It can be pickled; the pickle holds
    neither the client nor its key, so ``client.images.task(task)`` gives it a client again. Of an id that was written
    down, ``client.images.task(id, poll_url=…)`` makes one. Nothing of this orders an image: tasks are asked for by GET.

    Attributes:
        id: The relay's name for it. "" where the relay answered with the images at once.
        poll_url: Where the relay wants to be asked for it, as an address or a path; None where it did not say.
        status: The relay's own word for how far it is, such as "queued"; "" before it has been asked.
        progress: How far it is, from 0 to 100; None where the relay does not say.
        model: The model that it was ordered of; "" where that is not known.
        retry_after: Seconds until the relay wants to be asked again, or None.
        result: The images, once it is finished; else None.
        error: Why it came to nothing, once it has; else None.
        parts: Where the relay makes a task of each image, these tasks; ``id`` has theirs, with commas between.
        meta: How the last request about it went; None before there was one.
    """

    def __init__(
        self,
        id: str,  # noqa: A002  (the relay's name)
        *,
        poll_url: str | None = None,
        status: str = "",
        progress: int | None = None,
        model: str = "",
        retry_after: float | None = None,
        paths: tuple[str, ...] = (),
        result: ImagesResponse | None = None,
        parts: tuple[ImageTask, ...] = (),
        meta: Meta | None = None,
        source: TaskSource | None = None,
    ) -> None:
        self.id: str = id
        self.poll_url: str | None = poll_url
        self.status: str = status
        self.progress: int | None = progress
        self.model: str = model
        self.retry_after: float | None = retry_after
        self.result: ImagesResponse | None = result
        self.error: APIError | None = None
        self.parts: tuple[ImageTask, ...] = parts
        self.meta: Meta | None = meta
        # Where it is looked for, below the base URL, while nothing says where it is; the surest first.
        self._paths = paths
        self._source = source

    @property
    def done(self) -> bool:
        """Whether it has come to its end, good or bad: then no request is needed any more."""
        return self.result is not None or self.error is not None

    async def poll(self) -> Self:
        """Request the state of the task once, and return the task itself.

        Raises:
            ImageTaskError: It failed, expired, is not known, or has no image.
            APIError: The relay could not be asked, or answered with an error; the task may go on all the same.
            ConfigError: It came out of a pickle and has no client; nothing was sent.
        """
        if self.error is not None:
            raise self.error.with_traceback(None)
        if self.result is None:
            await self._client().poll(self)
        return self

    async def wait(self, *, timeout: float | Unset | None = UNSET) -> ImagesResponse:
        """Poll the task until it is finished, and return the images.

        Pauses are as long as the relay asks (``Retry-After``), else grow from one second to ten. A request that fails
        for a reason that may pass is made again. Cancelling ends the waiting alone: the relay goes on.

        Args:
            timeout: Seconds until the deadline; None for no limit. The client's ``timeout.total`` when not passed.

        Raises:
            ImageTaskTimeoutError: The deadline passed; the same call goes on waiting.
            ImageTaskError: It failed, expired, is not known, or has no image.
            APIError: The relay cannot be asked; the task may go on all the same.
            ConfigError: It came out of a pickle and has no client; nothing was sent.
        """
        if self.error is not None:
            raise self.error.with_traceback(None)
        return await self._client().wait(self, timeout) if self.result is None else self.result

    def bound(self, source: TaskSource) -> ImageTask:
        """Return a copy that is asked for by another client."""
        task = copy(self)
        task._source = source  # noqa: SLF001  (a copy of this one)
        task.parts = tuple(part.bound(source) for part in self.parts)
        return task

    def _client(self) -> TaskSource:
        return self._source or _no_client(self.id)

    def __repr__(self) -> str:
        progress = "" if self.progress is None else f", progress={self.progress}"
        return f"ImageTask(id={self.id!r}, status={self.status!r}{progress})"

    def __reduce__(self) -> tuple[Any, ...]:
        # Without the client, in whose settings the key is. An error of its own refers back to the task, so the
        # attributes come by the third part of the tuple, which pickle sets when the task is known to it.
        return ImageTask, (self.id,), {**self.__dict__, "_source": None}


def _no_client(name: str) -> NoReturn:
    raise ConfigError(
        f"the image task {name!r} has no client, since it came out of a pickle: client.images.task(task) gives it one"
    )

"""Ray Data: a dataset's rows answered by a pool of actors, with a checkpoint that survives the driver (extra ``ray``).

    import ray
    from tutuclient.integrations.ray import analyze_dataset

    ds = ray.data.read_parquet("s3://bucket/manifest/")  # a column of ids, and one of paths, URLs or bytes
    ds = analyze_dataset(
        ds, "What is in this image?", model="gpt-4o", image_column="uri", id_column="key",
        checkpoint="s3://bucket/run/checkpoint", num_workers=4,
    )
    ds.write_parquet("s3://bucket/run/answers/")  # the same script again goes on where it stopped

What Ray needs, and what this module sees to:

* **The checkpoint** (beta in Ray 2.60) is of blocks that were written: the pipeline has to be a read, maps and a write,
  the ids unique, and the path one that all nodes see. The dataset is cut into blocks of ``rows_per_block``, since a
  block is what is asked again when a worker or the driver dies; and the checkpoint is kept when the run succeeds, since
  without it the next run would ask everything again.
* **CPUs**: the actors wait, and take none; with a fraction of one, a run that goes on from a checkpoint can hang
  without a word, as can one on a cluster of a single logical CPU, which is an error here.
* **The key** travels only when it was passed as ``api_key``, within the pickle of the client that Ray keeps in its
  object store. One that came from the environment is read from the same variable on each worker: set it on the nodes,
  or start Ray with it. ``runtime_env={"env_vars": …}`` works too, and is shown in Ray's dashboard.
* **The limits** ``rate``, ``tokens_per_minute`` and ``max_concurrency`` are divided by ``num_workers``, which is right
  where the workers are equal. An actor has up to four batches at a time, which share its client and so its pace.
* **Rows that failed** are written, and done for the checkpoint. To try them again, filter the answers by ``status`` and
  run them with another checkpoint; images whose order was cut off by a death have the outcome "unknown", and are
  ordered again only with ``resend_unknown=True`` and the same ``journal_dir``.
* **Authentication**: Ray 2.60 wants a token between its own processes by default, and warns; see ``RAY_AUTH_MODE`` and
  ``RAY_AUTH_TOKEN`` in Ray's documentation. It has nothing to do with the relay's key.

Source: measured with Ray 2.60.0, and https://docs.ray.io/en/latest/data/.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import uuid
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tutuclient import wire
from tutuclient.batch.plan import check_spelling
from tutuclient.batch.rows import ROW_OPTIONS, RowAnswerer
from tutuclient.client import TutuClient
from tutuclient.errors import AuthenticationError, ConfigError, InsufficientQuotaError, TutuError, printable
from tutuclient.settings import UNSET
from tutuclient.settings.values import is_whole

if TYPE_CHECKING:
    from os import PathLike
    from typing import Unpack

    from tutuclient.batch.rows import RowFields

_ROWS_PER_BLOCK: Final = 256
_STOP_ON: Final = (AuthenticationError, InsufficientQuotaError)
_LEAST_CPUS: Final = 2
_CLOSE_S: Final = 5.0
_MARK: Final = ".shared"
_OPTIONS: Final = ROW_OPTIONS | {"client", "checkpoint", "num_workers", "rows_per_block"}


def analyze_dataset(
    ds: Any,
    prompt: str | None = None,
    *,
    client: TutuClient | None = None,
    checkpoint: str | PathLike[str] | None = None,
    num_workers: int = 1,
    rows_per_block: int = _ROWS_PER_BLOCK,
    response_format: Any = UNSET,
    **options: Unpack[RowFields],
) -> Any:
    """Return a dataset whose rows have the columns of ``answer_rows``. Nothing is asked until it is consumed.

    A row never fails the job. What concerns all rows does: a key that is refused, a balance that is empty, a relay that
    lets nothing in for ``max_wait`` or cannot be reached. The job then ends with ``RowsStoppedError``, the blocks that
    were written are kept, and the same script goes on from its checkpoint.

    With ``edit=True`` or ``generate=True`` a block that is done again would order its images again, so these need a
    ``journal_dir``: a folder that all nodes see, where each worker keeps a journal of its orders and looks into those
    of the others. An order that is found in any of them is not made again.

    Args:
        ds: The dataset.
        prompt: What to ask of each row.
        client: The client, whose settings travel to the workers; one of the environment's settings by default.
        checkpoint: Where Ray writes down which rows are done: a folder or an address of an object store that all nodes
            see. It needs ``id_column``, the column of unique ids.
        num_workers: How many actors. One answers some 800 rows a second, so more are for where the data is.
        rows_per_block: Rows that are asked together, and again when they were not written.
        response_format: See ``answer_rows``.
        **options: See ``answer_rows``: ``model``, ``image_column``, ``journal_dir`` and so on. ``stop_on=()`` writes
            rows with a refused key or an empty balance as failed, in place of ending the job.
            ``allow_paying_twice=True`` takes a ``journal_dir`` that is another folder on each node, or an
            ``images_dir`` alone: a block that is done again then orders its images again.

    Raises:
        ConfigError: The keywords cannot work, or Ray has less than two logical CPUs. Nothing was sent.
    """
    ray = _imported()
    keywords: dict[str, Any] = {"stop_on": _STOP_ON, "response_format": response_format, **options}
    _check(keywords, checkpoint, rows_per_block)
    for name in ("journal_dir", "images_dir"):  # Actors have a working directory of their own.
        if keywords.get(name) is not None:
            keywords[name] = str(Path(keywords[name]).absolute())
    share = (client or TutuClient()).for_workers(num_workers)
    RowAnswerer(share, prompt, **keywords).check()  # What cannot work is told here, and not by each worker.
    _check_cluster(ray)
    answered = ds.repartition(target_num_rows_per_block=rows_per_block).map_batches(
        RowsActor,
        fn_constructor_kwargs={"client": share, "prompt": prompt, "keywords": keywords, "mark": _marked(keywords)},
        batch_size=rows_per_block,
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=num_workers),
        num_cpus=0,
    )
    if checkpoint is not None:
        answered.context.checkpoint_config = ray.data.checkpoint.CheckpointConfig(
            id_column=keywords["id_column"], checkpoint_path=str(checkpoint), delete_checkpoint_on_success=False
        )
    return answered


class RowsStoppedError(TutuError):
    """The rest of the rows was not sent, for a reason that concerns all of them."""


class RowsActor:
    """One worker: answers the batches that Ray hands it, up to four at a time.

    Args:
        client: Its share of the client.
        prompt: What to ask.
        keywords: Those of ``answer_rows``.
        mark: The name of a file that the driver has left in the folder of the journals, or None.
    """

    def __init__(self, client: TutuClient, prompt: str | None, keywords: dict[str, Any], mark: str | None) -> None:
        if mark is not None and not (Path(keywords["journal_dir"]) / mark).exists():
            raise ConfigError(
                f"journal_dir={keywords['journal_dir']!r} is not the driver's folder on this node, so an image could "
                "be ordered twice: pass one that all nodes see, or allow_paying_twice=True"
            )
        self._client = client
        self._answerer = RowAnswerer(client, prompt, **keywords)
        self._loops: list[asyncio.AbstractEventLoop] = []
        # Ray has no hook for an actor's end, but drops the object; its loop goes on in a thread of Ray's.
        self._finalizer = weakref.finalize(self, _close, client, self._answerer, self._loops)
        self._stopped = ""

    async def __call__(self, batch: Any) -> Any:
        """Return a batch with the columns of its answers.

        Raises:
            RowsStoppedError: What was answered is not to be written, since the rest was not sent.
        """
        if self._stopped:
            raise RowsStoppedError(self._stopped)
        self._loops[:] = [asyncio.get_running_loop()]
        answering = self._answerer.answer(batch)
        answered = await answering
        if answering.stopped is not None:
            self._stopped = f"the rows were stopped: {answering.stopped}"
            raise RowsStoppedError(self._stopped)
        return answered


def _close(client: TutuClient, answerer: RowAnswerer, loops: list[asyncio.AbstractEventLoop]) -> None:
    """Close journal and connections in the loop that has them, and wait for that unless it is this thread's."""
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        running = None
    for loop in loops:
        if loop.is_running():
            for closing in (answerer.aclose(), client.aclose()):
                future = asyncio.run_coroutine_threadsafe(closing, loop)
                if loop is not running:  # Else it would wait for itself.
                    with contextlib.suppress(Exception):  # It is the end, and what was ordered is on the disk.
                        future.result(_CLOSE_S)


def _imported() -> Any:
    try:
        ray: Any = importlib.import_module("ray")
        importlib.import_module("ray.data.checkpoint")
    except ImportError as error:
        raise ConfigError(
            f"analyze_dataset needs Ray: pip install 'tutuclient[ray]' ({printable(str(error))})"
        ) from error
    return ray


def _check(options: dict[str, Any], checkpoint: Any, rows_per_block: Any) -> None:
    check_spelling("analyze_dataset", {"prompt", *options}, _OPTIONS)
    if not is_whole(rows_per_block) or rows_per_block < 1:
        raise ConfigError(f"rows_per_block must be a whole number from 1 up; got {rows_per_block!r}")
    if checkpoint is not None and options.get("id_column") is None:
        raise ConfigError("a checkpoint needs id_column=: Ray writes down the ids of the rows that are done")
    makes_images = options.get("edit") or options.get("generate")
    if not makes_images and wire.makes_image(options) and not options.get("allow_paying_twice"):
        raise ConfigError(
            "such a model, or modalities, order images, and Ray does a block again when a worker or the driver dies: "
            "pass generate=True or edit=True with journal_dir=, or allow_paying_twice=True"
        )
    if makes_images and options.get("journal_dir") is None and not options.get("allow_paying_twice"):
        raise ConfigError(
            "Ray does a block again when a worker or the driver dies, and its checkpoint knows only of blocks that "
            "were written, so images would be ordered and paid for twice: pass journal_dir=, which all nodes see"
        )


def _check_cluster(ray: Any) -> None:
    """Check that the cluster is one on which a run that goes on from a checkpoint does not hang.

    Raises:
        ConfigError: It has less than two logical CPUs.
    """
    if not ray.is_initialized():
        ray.init()
    cpus = ray.cluster_resources().get("CPU", 0)
    if cpus < _LEAST_CPUS:
        raise ConfigError(
            f"Ray has {cpus:g} logical CPUs, and with less than {_LEAST_CPUS} a run that goes on from a checkpoint "
            "waits for ever: ray.init(num_cpus=2), which promises no work that the machine does not do"
        )


def _marked(keywords: dict[str, Any]) -> str | None:
    """Leave a file in the folder of the journals, by which workers see that theirs is the same; return its name."""
    if keywords.get("journal_dir") is None or keywords.get("allow_paying_twice"):
        return None
    folder = Path(keywords["journal_dir"])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Of the run that this one goes on with, if there was one.
        marks = sorted(old.name for old in folder.glob(f"{_MARK}-*")) or [f"{_MARK}-{uuid.uuid4().hex}"]
        (folder / marks[0]).touch()
    except OSError as error:
        raise ConfigError(f"journal_dir={printable(str(folder))!r} cannot be used: {error.strerror}") from error
    return marks[0]

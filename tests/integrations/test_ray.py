"""The actor and the checks of ``analyze_dataset``, without a cluster: ``tests/real/test_ray.py`` has one."""

from __future__ import annotations

import asyncio
import pickle
import re
import sys
import textwrap
import threading
from concurrent.futures import Future
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from tests.conftest import KEY
from tests.leftovers import until
from tutuclient import AuthenticationError, ConfigError, InsufficientQuotaError, TutuClient
from tutuclient.integrations import ray as adapter
from tutuclient.integrations.ray import RowsActor, RowsStoppedError, analyze_dataset
from tutuclient.testing import Server, fails, serve_in_thread

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
EXAMPLES = {
    "README": re.search(r"```py\n(.*?)```", README, re.DOTALL),
    "docstring": re.search(r"\n\n( {4}import ray\n.*?)\n\n(?=\w)", adapter.__doc__ or "", re.DOTALL),
}
WORDS: dict[str, Any] = {"image_column": None, "prompt_column": "ask"}
ORDERS: dict[str, Any] = {"generate": True, "prompt_column": "ask", "id_column": "id"}
ROWS = pa.table({"id": ["a", "b"], "ask": ["one", "two"]})


class Dataset:
    """A dataset that keeps what it is asked for."""

    def __init__(self) -> None:
        self.context = SimpleNamespace(checkpoint_config=None)
        self.rows_per_block = 0
        self.mapped: dict[str, Any] = {}
        self.written = ""

    def repartition(self, *, target_num_rows_per_block: int) -> Dataset:
        self.rows_per_block = target_num_rows_per_block
        return self

    def map_batches(self, actor: type, **how: Any) -> Dataset:
        self.mapped = {"actor": actor, **how}
        return self

    def write_parquet(self, target: str) -> None:
        self.written = target


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Replace Ray's module by one that has what is used of it."""
    found: Any = ModuleType("ray")
    found.cpus, found.begun = 4, True
    found.is_initialized = lambda: found.begun
    found.init = lambda: setattr(found, "begun", True)
    found.cluster_resources = lambda: {"CPU": found.cpus}
    found.data = SimpleNamespace(
        ActorPoolStrategy=lambda size: ("pool", size),
        checkpoint=SimpleNamespace(CheckpointConfig=lambda **config: config),
    )
    monkeypatch.setitem(sys.modules, "ray", found)
    monkeypatch.setitem(sys.modules, "ray.data", found.data)
    monkeypatch.setitem(sys.modules, "ray.data.checkpoint", found.data.checkpoint)
    return found


@pytest.fixture
def client() -> TutuClient:
    return TutuClient(KEY, "https://relay.example", rate="600/min", max_concurrency=8)


@pytest.mark.usefixtures("ray")
def test_the_pipeline_is_what_a_checkpoint_needs(client: TutuClient) -> None:
    ds: Any = Dataset()
    options: dict[str, Any] = {"model": "m", "client": client, "id_column": "id", "checkpoint": "s3://bucket/ckpt"}
    analyze_dataset(ds, "What?", num_workers=4, **options)
    assert ds.rows_per_block == ds.mapped["batch_size"] == 256
    assert (ds.mapped["num_cpus"], ds.mapped["compute"], ds.mapped["batch_format"]) == (0, ("pool", 4), "pyarrow")
    assert ds.context.checkpoint_config == {
        "id_column": "id",
        "checkpoint_path": "s3://bucket/ckpt",
        "delete_checkpoint_on_success": False,
    }
    share = ds.mapped["fn_constructor_kwargs"]["client"]._settings
    assert (share.rate, share.max_concurrency) == (2.5, 2)
    assert KEY not in repr(ds.mapped)


@pytest.mark.parametrize("where", EXAMPLES)
def test_the_example_builds_a_pipeline_as_it_stands(where: str, ray: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUTU_API_KEY", KEY)
    monkeypatch.setenv("TUTU_BASE_URL", "https://relay.example/v1")
    dataset, example = Dataset(), EXAMPLES[where]
    ray.data.read_parquet = lambda _: dataset
    assert example is not None
    exec(textwrap.dedent(example[1]), {})  # noqa: S102  (our own documentation)
    assert dataset.mapped["compute"] == ("pool", 4)
    assert dataset.context.checkpoint_config["id_column"] == "key"
    assert dataset.written == "s3://bucket/run/answers/"
    assert KEY not in str(pickle.dumps(dataset.mapped["fn_constructor_kwargs"]["client"]))


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"checkpoint": "ckpt"}, "a checkpoint needs id_column="),
        ({"rows_per_block": 0}, "rows_per_block must be"),
        ({"num_workers": 9}, "cannot be divided among 9 workers"),
        ({"generate": True, "id_column": "id"}, "would be ordered and paid for twice: pass journal_dir="),
        ({"edit": True, "checkpoint": "x", "id_column": "id"}, "paid for twice"),
        ({"edit": True, "journal_dir": "x"}, "need id_column="),
        ({"model": "gpt-4o-image"}, "order images, .* pass generate=True or edit=True with"),
        ({"modalities": ["text", "image"]}, "modalities, order images, and Ray does a block again"),
        ({"concurency": 3}, "did you mean concurrency="),
        ({"checkpont": "ckpt"}, r"analyze_dataset has no checkpont=: did you mean checkpoint=\?"),
        ({"num_worker": 4}, r"did you mean num_workers=\?"),
        ({"journal": "run"}, "has no journal="),
    ],
)
@pytest.mark.usefixtures("ray")
def test_what_cannot_work_is_told_before_anything_is_built(
    keywords: dict[str, Any], message: str, client: TutuClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ds: Any = Dataset()
    with pytest.raises(ConfigError, match=message):
        analyze_dataset(ds, "What?", client=client, **keywords)
    assert not ds.mapped
    assert not list(tmp_path.iterdir())


def test_a_single_cpu_is_an_error_and_no_hang(ray: Any, client: TutuClient) -> None:
    ray.cpus, ray.begun = 1, False
    with pytest.raises(ConfigError, match=r"1 logical CPUs.*ray.init\(num_cpus=2\)"):
        analyze_dataset(Dataset(), "What?", client=client)
    assert ray.begun


def test_without_ray_the_extra_is_named(client: TutuClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match=r"pip install 'tutuclient\[ray\]'"):
        analyze_dataset(Dataset(), "What?", client=client)


@pytest.mark.usefixtures("ray")
async def test_a_folder_that_is_not_the_drivers_is_refused(client: TutuClient, tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    ds: Any = Dataset()
    analyze_dataset(ds, "Draw", client=client, generate=True, id_column="id", journal_dir=here)
    given = ds.mapped["fn_constructor_kwargs"]
    RowsActor(**given)
    mark = given["mark"]
    analyze_dataset(ds, "Draw", client=client, generate=True, id_column="id", journal_dir=here)
    assert ds.mapped["fn_constructor_kwargs"]["mark"] == mark
    given["keywords"]["journal_dir"] = str(there)
    with pytest.raises(ConfigError, match="is not the driver's folder on this node"):
        RowsActor(**given)
    analyze_dataset(
        ds, "Draw", client=client, generate=True, id_column="id", journal_dir=there, allow_paying_twice=True
    )
    assert ds.mapped["fn_constructor_kwargs"]["mark"] is None


async def test_an_actor_answers_batches_at_a_time(server: Server) -> None:
    actor = RowsActor(TutuClient(KEY, server.base_url), None, WORDS, None)
    tables = await asyncio.gather(*[actor(ROWS) for _ in range(4)])
    assert [table.column("status").to_pylist() for table in tables] == [["ok", "ok"]] * 4
    assert len(server.requests) == 8
    await actor._client.aclose()


@pytest.mark.parametrize("error", [AuthenticationError, InsufficientQuotaError])
async def test_what_concerns_all_rows_ends_the_job(error: type[Exception], server: Server) -> None:
    stops = {"stop_on": (AuthenticationError, InsufficientQuotaError), "concurrency": 1}
    actor = RowsActor(TutuClient(KEY, server.base_url), None, WORDS | stops, None)
    server.answers(*[fails(401, "no such key") if error is AuthenticationError else fails(403, "用户额度不足")] * 9)
    with pytest.raises(RowsStoppedError, match=error.__name__):
        await actor(ROWS)
    sent = len(server.requests)
    with pytest.raises(RowsStoppedError, match=error.__name__) as caught:
        await actor(ROWS)
    assert len(server.requests) == sent
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301  (our own bytes)
    await actor._client.aclose()


@pytest.mark.parametrize("keywords", [WORDS, ORDERS])
def test_an_actor_that_is_dropped_closes_its_connections_and_its_journal(
    keywords: dict[str, Any], tmp_path: Path
) -> None:
    # As Ray has it: a loop in a thread, and the object dropped by another one.
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    more = {"journal_dir": str(tmp_path)} if keywords is ORDERS else {}
    with serve_in_thread() as server:

        def is_open() -> bool:
            writers = [each for each in threading.enumerate() if each.name == "tutuclient-journal"]
            return bool(server.open_connections or writers)

        actor = RowsActor(TutuClient(KEY, server.base_url), None, keywords | more, None)
        answered = asyncio.run_coroutine_threadsafe(actor(ROWS), loop).result(30)
        assert answered.column("status").to_pylist() == ["ok", "ok"]
        assert is_open()
        del actor
        asyncio.run(until(lambda: not is_open()))
        assert not is_open()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def test_what_is_imported_is_not_ray() -> None:
    assert adapter.RowsActor.__module__ == "tutuclient.integrations.ray"
    assert "ray" not in vars(adapter)


async def test_an_actor_that_is_dropped_in_its_own_loop_does_not_hold_it(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []

    class Part:
        def __init__(self, name: str) -> None:
            self.name = name

        async def aclose(self) -> None:
            closed.append(self.name)

    waited: list[object] = []
    monkeypatch.setattr(Future, "result", lambda future, _=None: waited.append(future))
    client: Any = Part("client")
    journal: Any = Part("journal")
    adapter._close(client, journal, [asyncio.get_running_loop()])
    await until(lambda: closed == ["journal", "client"])
    assert waited == []

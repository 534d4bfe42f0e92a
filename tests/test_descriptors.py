"""What ``_descriptors`` promises: connections within the limit of the process, and an error that names the limit."""

from __future__ import annotations

import errno
import os
import resource
import socket
from typing import TYPE_CHECKING

import pytest

from tests.conftest import KEY
from tests.processes import relay, run_python
from tutuclient import TutuClient
from tutuclient._descriptors import default_connections, out_of_descriptors
from tutuclient.testing import serve_in_thread

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("soft", "most"), [(resource.RLIM_INFINITY, 512), (1_048_576, 512), (1024, 480), (256, 112), (64, 16), (20, 1)]
)
def test_the_default_of_max_connections_follows_the_limit_of_descriptors(
    soft: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, soft))
    assert default_connections() == most
    assert TutuClient(KEY)._settings.max_connections == most
    assert TutuClient(KEY, max_connections=600)._settings.max_connections == 600


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_what_fails_for_want_of_a_descriptor_is_known(number: int) -> None:
    bare = OSError(number, "too many")
    chained = ValueError("x")
    chained.__cause__ = bare
    assert out_of_descriptors(bare)
    assert out_of_descriptors(chained)
    assert not out_of_descriptors(OSError(errno.ENOENT, "none"))
    assert not out_of_descriptors(socket.gaierror(socket.EAI_AGAIN, "no name"))


def test_a_name_that_cannot_be_looked_up_without_a_descriptor_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> int:
        raise OSError(errno.EMFILE, "too many")

    monkeypatch.setattr(os, "open", none)
    assert out_of_descriptors(socket.gaierror(socket.EAI_AGAIN, "no name"))


MANY_UPLOADS = """
import asyncio, collections, resource, sys
url, path, soft, count, most = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
from tutuclient import TutuClient

async def main():
    async with TutuClient("k", url, max_connections=most or None, timeout=45) as client:
        work = (client.analyze(path, "x", model="m") for _ in range(count))
        return await asyncio.gather(*work, return_exceptions=True)

met = asyncio.run(main())
print(collections.Counter(each.text if hasattr(each, "text") else repr(each) for each in met))
print(collections.Counter(each.meta.attempts for each in met if hasattr(each, "text")))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("soft", "count", "most", "size"),
    [(256, 2000, 0, 3_000), (256, 1000, 512, 3_000), (1024, 1000, 0, 60_000), (64, 200, 512, 400_000)],
)
async def test_uploads_succeed_whatever_the_limit_of_descriptors(
    soft: int, count: int, most: int, size: int, tmp_path: Path
) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010806000000") + bytes(size))
    async with relay() as url:
        said = await run_python(MANY_UPLOADS, url, str(path), str(soft), str(count), str(most))
    assert said == f"Counter({{'hello': {count}}})\nCounter({{1: {count}}})\n"


NO_DESCRIPTORS = """
import asyncio, os, resource, sys
url, path = sys.argv[1:]
from tutuclient import TutuClient, user

async def main():
    async with TutuClient("k", url, timeout=1) as client:
        await client.chat.completions.create(model="m", messages=[user("hi")])
        soft = len(os.listdir("/proc/self/fd")) - 1
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        try:
            held = [os.dup(0) for _ in range(9)]
        except OSError:
            pass
        for call in (client.generate("a panda"), client.analyze(path, "x", model="m")):
            try:
                await call
            except Exception as error:
                print(type(error).__name__, error.outcome, error.attempts, error)

asyncio.run(main())
"""


@pytest.mark.slow
async def test_without_descriptors_the_error_names_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010806000000") + bytes(300))
    async with relay() as url:
        lines = (await run_python(NO_DESCRIPTORS, url, str(path))).splitlines()
    assert len(lines) == 2
    for line in lines:
        assert line.startswith("APIConnectionError not_sent 1 ")
        assert "ulimit -n" in line


DOWNLOADS = """
import asyncio, collections, os, resource, sys
url, free = sys.argv[1], int(sys.argv[2])
from tutuclient import TutuClient

async def main():
    async with TutuClient("k", url, max_connections=512, max_retries=0) as client:
        answers = [await client.generate("a panda", model="gpt-4o-image") for _ in range(31)]
        images = [answer.images[0] for answer in answers]
        await images.pop().read()
        soft = len(os.listdir("/proc/self/fd")) - 1 + free
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        timeout = 20 if free else 1
        work = (image.read(timeout=timeout) for image in images)
        return await asyncio.gather(*work, return_exceptions=True)

met = asyncio.run(main())
print(sum(isinstance(each, bytes) for each in met))
print(*{f"{each.reason} {each}" for each in met if not isinstance(each, bytes)})
"""


@pytest.mark.slow
@pytest.mark.parametrize("free", [0, 6])
async def test_downloads_wait_for_descriptors_and_name_the_limit(free: int) -> None:
    with serve_in_thread() as server:
        count, said = (await run_python(DOWNLOADS, server.base_url, str(free))).splitlines()
    if free:
        assert (count, said) == ("30", "")
    else:
        assert count == "0"
        assert said.startswith("unreachable ")
        assert "ulimit -n" in said

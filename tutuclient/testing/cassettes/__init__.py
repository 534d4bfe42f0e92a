"""Cassettes: what a real relay answered, recorded once and replayed on loopback to any client in any language.

They stand in the relay's place, not in the client, so that what is tested is everything between the two: headers, reads
and their times, streams that break. Each is a file of JSON Lines, to be read, compared and kept with the tests; the
module ``tape`` describes it.

- Keys, cookies, account ids, and all headers that are not on a list are dropped, also in queries and bodies
  (``scrubbing``). What a request showed as its key goes wherever it stands: as it is, in JSON, HTML, addresses,
  hexadecimal and base64, and spelt over several events of a stream (``split_keys``): one that may be the beginning of
  a key is in the file when the next has shown that it is not. Look through a cassette before you publish it all the
  same: prompts and answers are in it. Not found are the key in base64 that is broken into lines, as numbers (the
  ``bytes`` of log probabilities) or in a coding that is not named here; the few letters of it by which relays name it
  (``sk-ab***yz``); and of keys that the request did not show, those that do not look like one, are in base64, or are
  spelt over several events.
- Images and audio are digests. A replayed answer has stand-ins of the same kind, pixels and bytes (``blanks``), which
  any client can decode; images and audio of requests are compared by their digests. Base64 that a stream spreads over
  several events stays as it came.
- A request is told by its method, path, query and body, keys and headers aside (``matching``). The same request several
  times is answered in the order of the recording; one that was not recorded gets 400, and never an answer made up.
- The relay's own address becomes that of the recorder in answers as they pass, and that of the player later: images
  that a client downloads from the relay are recorded with the rest, and replayed as stand-ins. Images on other hosts
  are downloaded from there, also when an answer is replayed. An address that a stream spreads over several events is
  not found.
- An answer that broke off breaks off again, where the client left the replayed answer stays silent, and requests that
  ran side by side are kept apart by their numbers.

Not kept: compressed answers are asked for plain and recorded plain, a body that ended with its connection is replayed
chunked, and the bytes of HTTP around it are written anew.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tutuclient.testing.cassettes.player import Player
from tutuclient.testing.cassettes.recorder import Recorder
from tutuclient.testing.server import run_in_thread

if TYPE_CHECKING:
    import os
    from collections.abc import Generator

__all__ = ["Player", "Recorder", "record_cassette", "replay_cassette"]


@contextmanager
def record_cassette(url: str, path: str | os.PathLike[str], *, key: str | None = None) -> Generator[Recorder]:
    """Record what a relay answers, by a relay on loopback in a thread of its own; point the client at its ``base_url``.

    Args:
        url: The real relay's base URL.
        path: The cassette; what it holds already stays.
        key: What is sent in the place of the caller's key, wherever a request has one; None passes that on.

    Raises:
        ConfigError: The address is none, or the cassette cannot be written.
    """
    recorder = Recorder(url, Path(path), key=key)
    with run_in_thread(recorder):
        yield recorder


@contextmanager
def replay_cassette(path: str | os.PathLike[str], *, speed: float = 0.0) -> Generator[Player]:
    """Answer from a cassette, by a relay on loopback in a thread of its own; point the client at its ``base_url``.

    Args:
        path: The cassette.
        speed: How many times as fast as it was recorded: 1 keeps its times, 0 and ``inf`` wait for nothing.

    Raises:
        ConfigError: There is no cassette, it cannot be read, or the speed is none.
    """
    player = Player(Path(path), speed=speed)
    with run_in_thread(player):
        yield player

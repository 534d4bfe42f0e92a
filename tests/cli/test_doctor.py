"""The doctor, at relays with one ailment each: what it finds, what it advises, what it costs."""

from __future__ import annotations

import json
import re
import socket
from base64 import b64decode
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from tests.cli.conftest import Done, Terminal, one_line, taken_from
from tutuclient.cli import doctor
from tutuclient.testing import Server, chunk, fails, raw, sample_picture, says, serve_in_thread, streams

if TYPE_CHECKING:
    from collections.abc import Callable

    from tutuclient.testing import Recorded, Scripted

MODELS = raw(200, json.dumps({"data": [{"id": "gpt-4o"}]}).encode())
ANSWER = {"choices": [{"message": {"role": "assistant", "content": "1 2 3"}, "finish_reason": "stop"}]}
TOWN = '{"town_of_the_tower": "Paris", "its_letters": 5}'


def calls(name: str, arguments: str) -> Scripted:
    function = {"name": name, "arguments": arguments}
    return says("", tool_calls=[{"id": "call_1", "type": "function", "function": function}], finish_reason="tool_calls")


def checks(done: Done) -> dict[str, tuple[str, str]]:
    """Return the result of each check with its detail and advice."""
    return {each["name"]: (each["result"], f"{each['detail']} → {each['advice']}") for each in done.json["checks"]}


def spoils(relay: Server, *answers: Scripted) -> None:
    """Answer the questions in order, the list of models first; the brain answers the rest."""
    relay.answers(MODELS, *answers)


def test_a_relay_that_is_well(tutu: Callable[..., Done], relay: Server) -> None:
    spoils(
        relay,
        says("hello"),
        says("1 2 3"),
        _names_the_colours,
        says("A cat."),
        calls("get_weather", '{"city": "Oslo"}'),
        says(TOWN),
    )
    done = tutu("doctor", "--json", "--image-url", "https://pictures.example/cat.jpg")
    assert done.code == 0
    assert done.json["works"] is True
    assert done.json["total_tokens"] > 0
    results = {name: result for name, (result, _) in checks(done).items()}
    assert (results.pop("drawing"), results.pop("speech")) == ("untried", "untried")
    assert set(results.values()) == {"yes"}
    assert [seen.path for seen in relay.requests] == ["/v1/models", *["/v1/chat/completions"] * 6]


def _names_the_colours(seen: Recorded) -> Any:
    """Return, in Chinese, what a model that sees would say."""
    url = seen.json["messages"][0]["content"][1]["image_url"]["url"]
    picture = Image.open(BytesIO(b64decode(url.partition(",")[2]))).convert("RGB")
    named = {rgb: re.findall(r"[红绿蓝黄黑白]", words)[0] for rgb, words in doctor._COLOURS.values()}
    return says("、".join(named[picture.getpixel((x, 48))] + "色" for x in (16, 48, 80)))  # type: ignore[index]  # an RGB picture's pixels are triples


def test_our_relay_as_it_is_in_words(tutu: Callable[..., Done]) -> None:
    done = tutu("doctor")
    assert done.code == 0
    assert "\nyes      image (base64)   “This is a PNG image of 96x96 pixels" in done.out
    assert "It can: chat, stream, image (base64)" in done.out
    assert done.err.startswith("note: this asks gpt-4o a few short questions, some 500 tokens")
    assert "no image and no speech is ordered" in done.err


def test_no_image_is_ordered_unasked(tutu: Callable[..., Done], relay: Server) -> None:
    tutu("doctor")
    assert {seen.json["model"] for seen in relay.requests[1:]} == {"gpt-4o"}


def test_an_image_that_was_ordered_is_kept(tutu: Callable[..., Done], relay: Server) -> None:
    done = tutu("doctor", "--draw", "--json")
    assert "gpt-4o-image draws one image, paid for like any other" in done.err
    result, detail = checks(done)["drawing"]
    assert result == "yes"
    place = detail.rpartition(" → ")[0].rpartition("kept: ")[2]
    assert taken_from(place).startswith(b"\x89PNG")
    assert [seen.json["model"] for seen in relay.requests[1:]].count("gpt-4o-image") == 1


def test_a_word_is_said_when_asked_for(tutu: Callable[..., Done], relay: Server) -> None:
    done = tutu("doctor", "--speak", "--json")
    assert "; and tts-1 says one word" in done.err
    assert checks(done)["speech"][0] == "yes"
    assert relay.requests[-1].path == "/v1/audio/speech"
    relay.answers(fails(404, "no such page"), path="/v1/audio/speech")
    done = tutu("doctor", "--speak", "--json")
    assert (done.code, checks(done)["speech"][0]) == (0, "no")


def test_an_order_of_unknown_outcome_is_not_repeated(tutu: Callable[..., Done], relay: Server) -> None:
    spoils(relay, *[says("1 2")] * 5)
    relay.faults("reset_after_request", times=3)
    result, detail = checks(tutu("doctor", "--draw", "--json"))["drawing"]
    assert (result, "billed" in detail) == ("no", True)
    assert [seen.json["model"] for seen in relay.requests[1:]].count("gpt-4o-image") == 1


# --- the address ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pasted", ["", "/v1/", "/v1/chat/completions", "/v1/images/generations"])
def test_addresses_as_people_paste_them(tutu: Callable[..., Done], relay: Server, pasted: str) -> None:
    done = tutu("doctor", "--json", "--base-url", relay.origin + pasted)
    assert done.code == 0
    assert checks(done)["address"][0] == "yes"
    assert done.json["base_url"] == relay.base_url
    assert (f"(written as {relay.origin}{pasted})" in done.out) == (pasted != "/v1/")


@pytest.mark.parametrize(("wrong", "code"), [("/panel", 8), ("/panel/v1", 8), ("/v1/deeper", 4)])
def test_an_address_beside_the_api_is_put_right(
    tutu: Callable[..., Done], relay: Server, monkeypatch: pytest.MonkeyPatch, wrong: str, code: int
) -> None:
    monkeypatch.setenv("TUTU_BASE_URL", relay.origin + wrong)
    done = tutu("doctor", "--json")
    result, detail = checks(done)["address"]
    assert (done.code, result) == (code, "no")
    assert detail.endswith(f"the API is at {relay.base_url}: set TUTU_BASE_URL to it")
    assert checks(done)["image (base64)"][0] == "yes"
    assert {seen.headers["Authorization"] for seen in relay.requests} == {"Bearer sk-test-0123456789abcdef"}


def test_an_address_whose_api_has_no_v1(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(MODELS, path="/v1/models")
    page = raw(200, b"<html><title>Panel</title>")
    relay.answers(page, path="/api/v1/models")
    relay.answers(MODELS, path="/api/models")
    done = tutu("doctor", "--json", "--base-url", f"{relay.origin}/api/v1")
    assert checks(done)["address"][1].endswith(f"the API is at {relay.origin}/api: set --base-url to it")


def test_html_everywhere(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(*[raw(200, b"<html><title>Panel</title>")] * 9)
    done = tutu("doctor")
    assert done.code == 8
    assert "→ this is not the API; ask the relay's operator for its address" in done.out
    assert "\nuntried  all else         not tried: the address has to work first\n" in done.out
    assert "To put right: address. Not tried: chat" in done.out


def test_a_relay_that_lists_no_models(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(fails(404, "Invalid URL"), path="/v1/models")
    done = tutu("doctor", "--json")
    found = checks(done)
    assert done.code == 0
    assert (found["address"][0], found["models"][0], found["chat"][0]) == ("partly", "no", "yes")


def test_nothing_listens_at_the_address(tutu: Callable[..., Done]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    done = tutu("doctor", "--base-url", f"http://127.0.0.1:{port}")
    assert done.code == 6
    assert "check --base-url, and whether it runs" in done.out


def test_a_proxy_is_named_with_where_it_comes_from(tutu: Callable[..., Done], monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
    monkeypatch.setenv("HTTPS_PROXY", f"http://me:hunter2@{address}")
    done = tutu("doctor", "--base-url", "https://relay.example", "--json")
    result, said = checks(done)["address"]
    assert (result, done.json["proxy"]) == ("no", f"http://{address} (HTTPS_PROXY)")
    assert f"--base-url, through the proxy http://{address} (HTTPS_PROXY): " in said.replace(
        " (written as https://relay.example)", ""
    )
    assert "the proxy cannot be reached" in said
    assert "hunter2" not in done.out + done.err


def test_tls_where_there_is_none(tutu: Callable[..., Done], relay: Server) -> None:
    done = tutu("doctor", "--base-url", relay.base_url.replace("http:", "https:"))
    assert done.code == 6
    assert f"→ if it has no TLS, use {relay.base_url}; the key then goes over the network for all to read" in done.out
    assert relay.requests == []


def test_no_tls_where_there_is_some(tutu: Callable[..., Done], relay: Server) -> None:
    relay.faults("garbage")
    done = tutu("doctor")
    assert done.code == 7
    assert f"→ if it speaks TLS, use {relay.base_url.replace('http:', 'https:')}\n" in done.out


# --- the key, the model, a chat -------------------------------------------------------------------------------------


def test_a_wrong_key(tutu: Callable[..., Done]) -> None:
    with serve_in_thread(key="sk-right") as relay:
        done = tutu("doctor", "--json", "--base-url", relay.base_url)
        assert len(relay.requests) == 1
    found = checks(done)
    assert done.code == 3
    assert (found["address"][0], found["models"][0], found["key"][0]) == ("yes", "untried", "no")
    assert "check the key: --api-key, or TUTU_API_KEY" in found["key"][1]
    assert found["chat"] == ("untried", "not tried: the key has to work first → None")


def test_a_key_that_is_asked_for_only_by_a_chat(tutu: Callable[..., Done], relay: Server) -> None:
    spoils(relay, fails(403, "该令牌无权访问模型 gpt-4o"))
    done = tutu("doctor", "--json")
    assert (done.code, checks(done)["models"][0], checks(done)["key"][0]) == (3, "yes", "no")
    assert len(relay.requests) == 2


def test_a_model_that_is_not_listed(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(raw(200, json.dumps({"data": [{"id": f"m{number}"} for number in range(9)]}).encode()))
    result, detail = checks(tutu("doctor", "--json"))["models"]
    assert result == "partly"
    assert detail.startswith("9 listed: m0, m1, m2, m3, m4, m5, …; gpt-4o is not among them → choose one of them")


def test_a_chat_that_fails_ends_it(tutu: Callable[..., Done], relay: Server) -> None:
    spoils(relay, *[fails(400, "no such thing")] * 3)
    done = tutu("doctor", "--json")
    found = checks(done)
    assert (done.code, done.json["works"]) == (4, False)
    assert (found["key"][0], found["chat"][0], found["stream"][0]) == ("untried", "no", "untried")
    assert len(relay.requests) == 2


def test_a_chat_without_words(tutu: Callable[..., Done], relay: Server) -> None:
    spoils(relay, says("", finish_reason="length"))
    done = tutu("doctor", "--json")
    assert done.code == 8
    assert checks(done)["chat"][1].startswith("no words (finish_reason length) → a model that thinks")


def test_a_relay_that_counts_nothing(tutu: Callable[..., Done], relay: Server) -> None:
    spoils(relay, says("hello", usage=False))
    done = tutu("doctor", "--json")
    assert done.json["total_tokens"] is None
    assert checks(done)["chat"][1].endswith("no usage → None")


# --- streams --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "result", "words"),
    [
        (
            says("1 2 3 4 5 6 7", token_delay=0.09),
            "yes",
            r"7 pieces, the first after 0\.\d\d s, then one every \d+ ms",
        ),
        (says("1 2 3"), "yes", r"3 pieces in \d+ ms, too quick to tell whether it was held back; usage at its end"),
        (
            says("1 2 3", delay=0.6),
            "partly",
            r"held back: 0\.\d s of nothing, then 3 pieces in \d+ ms;.*nginx",
        ),
        (raw(200, json.dumps(ANSWER).encode()), "partly", r"JSON in place of a stream, after .*; no usage"),
        (streams([chunk("1 "), chunk("2")]), "yes", r"usage, \[DONE\] and no finish_reason, so a cut-off"),
        (streams([chunk("all"), chunk(finish_reason="stop")]), "partly", "one piece with all of it"),
        (streams([chunk(refusal="no"), chunk(finish_reason="stop")]), "no", "a stream without text"),
        (streams([chunk("1 "), chunk("2")], done=False, then="reset"), "no", "broke off.*ask for whole answers"),
        (streams([chunk("1 "), chunk("2")], done=False), "no", "ask for whole answers"),
    ],
)
def test_streams(tutu: Callable[..., Done], relay: Server, answer: Scripted, result: str, words: str) -> None:
    spoils(relay, says("hello"), answer)
    done = tutu("doctor", "--json")
    found = checks(done)["stream"]
    assert found[0] == result, found
    assert re.search(words, found[1]), found
    assert done.code == 0


def test_a_relay_that_knows_no_stream_options(tutu: Callable[..., Done], relay: Server) -> None:
    spoils(relay, says("hello"), fails(400, "unknown field stream_options"), says("1 2 3"))
    result, detail = checks(tutu("doctor", "--json"))["stream"]
    assert (result, detail.endswith("no usage → None")) == ("yes", True)


# --- pictures, tools, schema ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("said", ["I cannot see pictures.", "red, green, blue, yellow, black and white"])
def test_a_model_that_does_not_see(tutu: Callable[..., Done], relay: Server, said: str) -> None:
    spoils(relay, says("hello"), says("1 2 3"), says(said))
    done = tutu("doctor", "--json")
    result, detail = checks(done)["image (base64)"]
    assert (done.code, result) == (8, "no")
    assert f"and said: “{said}”" in detail


def test_an_image_that_is_refused(tutu: Callable[..., Done], relay: Server) -> None:
    spoils(relay, says("hello"), says("1 2 3"), fails(400, "no images, please"))
    done = tutu("doctor", "--json")
    assert (done.code, checks(done)["image (base64)"][0]) == (4, "no")
    assert checks(done)["JSON schema"][0] != "untried"


def test_an_image_by_its_address(tutu: Callable[..., Done], relay: Server) -> None:
    done = tutu("doctor", "--json", "--picture", relay.host(sample_picture(), "cat.png"))
    result, detail = checks(done)["image (URL)"]
    assert (result, "is that your image?" in detail) == ("yes", True)
    done = tutu("doctor", "--json", "--image-url", "https://pictures.example/cat.jpg")
    assert (done.code, checks(done)["image (URL)"][0]) == (0, "no")
    assert "give images as files" in checks(done)["image (URL)"][1]


def test_an_image_without_an_address(tutu: Callable[..., Done], relay: Server) -> None:
    done = tutu("doctor", "--image-url", "cat.png")
    assert (done.code, relay.requests) == (2, [])
    assert "--image-url takes the http:// or https:// URL" in one_line(done.err)


@pytest.mark.parametrize(
    ("answer", "result", "words"),
    [
        (calls("get_weather", '{"city": "Oslo"}'), "yes", 'called get_weather({"city": "Oslo"})'),
        (calls("get_weather", "Oslo"), "partly", "which is not JSON"),
        (calls("weather", '{"city": "Oslo"}'), "partly", "called weather"),
        (says("It rains."), "no", "it said: “It rains.” → use a model that knows tools"),
        (fails(400, "tools are not supported"), "no", "try another --model, or do without"),
    ],
)
def test_tools(tutu: Callable[..., Done], relay: Server, answer: Scripted, result: str, words: str) -> None:
    spoils(relay, says("hello"), says("1 2 3"), says("red"), answer)
    found = checks(tutu("doctor", "--json"))["tools"]
    assert found[0] == result
    assert words in found[1]


@pytest.mark.parametrize(
    ("said", "result"),
    [(TOWN, "yes"), ('{"town": "Paris"}', "no"), (f"```json\n{TOWN}\n```", "no"), ("Paris", "no"), ("[]", "no")],
)
def test_schemas(tutu: Callable[..., Done], relay: Server, said: str, result: str) -> None:
    spoils(relay, says("hello"), says("1 2 3"), says("red"), says("It rains."), says(said))
    assert checks(tutu("doctor", "--json"))["JSON schema"][0] == result


def test_the_image_needs_no_pillow_and_is_one() -> None:
    with Image.open(BytesIO(doctor._stripes([(1, 2, 3), (4, 5, 6), (7, 8, 9)]))) as picture:
        assert (picture.format, picture.size, picture.mode) == ("PNG", (96, 96), "RGB")
        assert [picture.getpixel((x, 95)) for x in (0, 31, 32, 63, 64, 95)] == [
            (1, 2, 3), (1, 2, 3), (4, 5, 6), (4, 5, 6), (7, 8, 9), (7, 8, 9),
        ]  # fmt: skip


# --- on a terminal --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_terminal_shows_a_table(relay: Server) -> None:
    spoils(relay, says("hello"), says("1 2 3"), says("red"), says("It rains."))
    with Terminal("doctor") as terminal:
        assert terminal.end() == 8
    assert re.search(r"yes +key +accepted +\r\n", terminal.plain)
    assert "\x1b[32myes" in terminal.shown
    assert re.search(r"\r\n +→ use a model that knows tools", terminal.plain)


@pytest.mark.slow
def test_a_narrow_terminal_shows_it_one_below_the_other() -> None:
    with Terminal("doctor", COLUMNS="44", NO_COLOR="1") as terminal:
        assert terminal.end() == 0
    assert re.search(r"yes  key *\r\n  accepted *\r\n", terminal.plain)
    assert "\x1b[32m" not in terminal.shown
    assert re.search(r"\r\nIt can: [^\r]{10,36}\r\n", terminal.plain)


@pytest.mark.slow
def test_interrupting_the_doctor(relay: Server) -> None:
    relay.answers(MODELS, says("late", delay=30))
    with Terminal("doctor") as terminal:
        terminal.wait_for("gpt-4o")
        terminal.wait_for("key")
        terminal.interrupt()
        assert terminal.end() == 130
    assert "Traceback" not in terminal.shown


@pytest.mark.slow
@pytest.mark.parametrize("columns", [40, 70])
def test_a_path_is_never_broken_over_two_lines(tmp_path: Path, columns: int) -> None:
    folder = tmp_path / "a-folder-with-quite-a-long-name" / "and-another-one-within-it"
    folder.mkdir(parents=True)
    with Terminal("doctor", "--draw", COLUMNS=str(columns), TMPDIR=str(folder), NO_COLOR="1") as terminal:
        assert terminal.end() == 0
        words = terminal.plain.split()
    (kept,) = [word for word in words if word.startswith(str(folder))]
    assert Path(kept).is_file()
    assert "gpt-3.5-turbo-instruct," in words

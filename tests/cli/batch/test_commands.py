"""The command batch, as somebody meets it who has a folder of images and a relay."""

from __future__ import annotations

import asyncio
import csv
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.conftest import KEY, Done, one_line, size_of
from tutuclient import TutuClient
from tutuclient.cli.batch.sources import open_source
from tutuclient.testing import Recorded, Server, draws, fails, queues, rate_limited, sample_picture, says

if TYPE_CHECKING:
    from collections.abc import Callable

CHAT = "/v1/chat/completions"
WHAT = "这张图片有什么"


@pytest.fixture(autouse=True)
def photos() -> Path:
    """Five images in a folder."""
    folder = Path("photos")
    (folder / "more").mkdir(parents=True)
    for name in ("a.png", "b.png", "c.png", "more/d.png", "more/e.png"):
        (folder / name).write_bytes(sample_picture())
    return folder


def asked(relay: Server) -> int:
    return sum(request.path == CHAT for request in relay.requests)


def test_a_folder_is_answered_and_the_same_command_again_sends_nothing(
    tutu: Callable[..., Done], relay: Server
) -> None:
    done = tutu("batch", "run", "photos", WHAT, "-o", "run")
    assert done.code == 0, done.err
    assert done.out.startswith("5 answered, 0 failed; ")
    assert "tutuclient batch export run -o answers.csv" in done.out
    assert "the relay says that the key has" in done.err
    assert asked(relay) == 5
    again = tutu("batch", "run", "photos", WHAT, "-o", "run")
    assert (again.code, asked(relay)) == (0, 5)
    assert "5 answered before" in again.out
    Path("photos/f.png").write_bytes(sample_picture())
    assert tutu("batch", "run", "photos", WHAT, "-o", "run").code == 0
    assert asked(relay) == 6


@pytest.mark.parametrize("first", ["command", "map"])
def test_the_same_in_python_is_the_same_run(first: str, tutu: Callable[..., Done], relay: Server) -> None:
    async def in_python() -> None:
        source = open_source(["photos"], Path.cwd(), Path.cwd() / "run", {"image"})
        async with TutuClient(KEY, relay.base_url) as client:
            await client.map(source.items(), WHAT, journal="run").gather()

    for which in (first, "map", "command"):
        if which == "map":
            asyncio.run(in_python())
        else:
            assert tutu("batch", "run", "photos", WHAT, "-o", "run").code == 0
        assert asked(relay) == 5


def test_no_key_is_written_anywhere(tutu: Callable[..., Done]) -> None:
    assert tutu("batch", "run", "photos", WHAT, "-o", "run", "--api-key", KEY).code == 0
    held = b"".join(path.read_bytes() for path in Path("run").rglob("*") if path.is_file())
    assert KEY.encode() not in held


def test_what_is_no_image_fails_alone_and_is_tried_again_when_told(tutu: Callable[..., Done], relay: Server) -> None:
    Path("photos/no.jpg").write_text("no image")
    done = tutu("batch", "run", "photos", WHAT, "-o", "run")
    assert (done.code, asked(relay)) == (9, 5)
    assert "1 x MediaError: " in done.out
    assert "tutuclient batch retry run    tries again what failed" in done.out
    assert tutu("batch", "run", "photos", WHAT, "-o", "run").code == 9
    Path("photos/no.jpg").write_bytes(sample_picture())
    assert tutu("batch", "retry", "run").code == 0
    assert asked(relay) == 6


def test_a_dry_run_sends_nothing_and_says_what_would_be_sent(tutu: Callable[..., Done], relay: Server) -> None:
    done = tutu("batch", "run", "photos", WHAT, "-o", "run", "--dry-run", "--max-side", "90", "--max-tokens", "7")
    assert (done.code, relay.requests, Path("run").exists()) == (0, [], False)
    for words in (
        "5 images in photos, to ask; ",
        "first: a.png, b.png",
        f"prompt: {WHAT}",
        relay.base_url,
        "max_side: 90",
    ):
        assert words in done.out
    assert "nothing was sent" in done.err
    tutu("batch", "run", "photos/*.png", WHAT, "-o", "run", "--sample", "2")
    Path("list.csv").write_text("image,prompt\nphotos/a.png,\nphotos/b.png,Who is it?\n")
    listed = tutu("batch", "run", "list.csv", WHAT, "-o", "other", "--dry-run")
    assert f"prompt: {WHAT} (but 1 of the items has its own)\n" in listed.out
    assert "of which 1 are not in run yet" in tutu("batch", "run", "photos/*.png", WHAT, "-o", "run", "--dry-run").out


def test_a_sample_prices_the_rest_which_then_goes_on_from_there(tutu: Callable[..., Done], relay: Server) -> None:
    done = tutu("batch", "run", "photos", WHAT, "-o", "run", "--sample", "2")
    assert (done.code, asked(relay)) == (0, 2)
    assert "the 3 left would take about " in done.out
    assert " USD by what the balance lost meanwhile" in done.out
    assert tutu("batch", "run", "photos", WHAT, "-o", "run", "--sample", "2").code == 0
    assert asked(relay) == 2
    priced = tutu("batch", "run", "photos", WHAT, "-o", "run", "--sample", "3", "--json").json["price"]
    assert (priced["left"], asked(relay)) == (2, 3)
    assert priced["tokens"] == round(priced["tokens_an_item"] * 2)
    assert priced["listed"] == pytest.approx(2 * 0.0002), "what the embedded relay's own page says of two calls"
    assert tutu("batch", "run", "photos", WHAT, "-o", "run").code == 0
    assert asked(relay) == 5


def test_no_balance_and_no_prices_are_no_reason_not_to_start(tutu: Callable[..., Done], relay: Server) -> None:
    for path in ("/v1/dashboard/billing/subscription", "/api/usage/token", "/api/pricing"):
        relay.answers(*[fails(404, "no")] * 4, path=path)
    done = tutu("batch", "run", "photos", WHAT, "-o", "run", "--sample", "2")
    assert (done.code, done.err) == (0, "")
    assert "USD" not in done.out


@pytest.mark.parametrize(
    ("answer", "options", "code", "words"),
    [
        (fails(401, "无效的令牌"), (), 3, "--api-key, or TUTU_API_KEY"),
        (fails(429, "no", code="insufficient_quota"), (), 3, "top it up"),
        (fails(404, "no model"), ("--stop-on", "notfounderror"), 4, "no model"),
        (fails(400, "bad"), ("--max-failures", "1"), 9, "2 of 2 items failed"),
        (rate_limited(3600), ("--max-wait", "5"), 5, "3600"),
    ],
)
def test_what_ends_a_run_has_its_exit_code(
    tutu: Callable[..., Done], relay: Server, answer: Any, options: tuple[str, ...], code: int, words: str
) -> None:
    relay.answers(*[answer] * 5, path=CHAT)
    done = tutu("batch", "run", "photos", WHAT, "-o", "run", "--concurrency", "1", "-q", *options)
    assert done.code == code
    assert words in one_line(done.err)
    assert asked(relay) < 5
    assert "to go on: the same command again" in done.out


@pytest.mark.slow
@pytest.mark.parametrize("others", [says("a cat", delay=0.1), fails(400, "bad", delay=0.1)], ids=["answers", "fails"])
def test_a_run_with_an_item_that_the_relay_did_not_take_is_to_be_started_again(
    tutu: Callable[..., Done], relay: Server, others: Any
) -> None:
    def pick(request: Recorded) -> Any:
        return rate_limited(headers={"retry-after-ms": "50"}) if request.json["model"] == "full" else others

    images = [{"image": "photos/a.png", "id": str(number)} for number in range(40)]
    images[3]["model"] = "full"
    Path("list.jsonl").write_text("\n".join(map(json.dumps, images)))
    relay.answers(*[pick] * 5000, path=CHAT)
    arguments = ("batch", "run", "list.jsonl", WHAT, "-o", "run", "-q", "--concurrency", "2", "--json")
    done = tutu(*arguments, "--max-wait", "1")
    assert (done.code, done.json["deferred"], done.json["stopped"]) == (5, 1, None)
    relay.reset()
    again = tutu(*arguments)
    assert (again.json["answered"], asked(relay)) == (1, 1)
    assert again.code == (9 if again.json["failed_before"] else 0)


def test_the_budget_is_the_whole_runs(tutu: Callable[..., Done], relay: Server) -> None:
    arguments = ("batch", "run", "photos", WHAT, "-o", "run", "--concurrency", "1", "-q", "--budget", "2 requests")
    done = tutu(*arguments)
    assert (done.code, asked(relay)) == (10, 2)
    assert "the budget of 2 requests is reached" in one_line(done.err)
    assert "the same command again with a higher --budget" in done.out
    again = tutu(*arguments)
    assert (again.code, asked(relay)) == (10, 2)
    assert "the run has used 2 so far, and the same command with a higher --budget goes on" in one_line(again.err)
    more = tutu(*arguments[:-1], "4 requests")
    assert (more.code, asked(relay)) == (10, 4)
    assert "the budget of 4 requests is reached" in one_line(more.err)  # Not of the 2 that were left of it.
    assert tutu(*arguments[:-1], "1M").code == 0


@pytest.mark.parametrize("answer", [says("Sorry, no image."), fails(504, "late")], ids=["no image", "unknown"])
def test_the_budget_of_images_counts_all_that_may_be_paid_for(
    tutu: Callable[..., Done], relay: Server, answer: Any
) -> None:
    relay.answers(*[answer] * 9, path=CHAT)
    arguments = (
        "batch",
        "run",
        "photos",
        "Hat",
        "-o",
        "run",
        "--edit",
        "--concurrency",
        "1",
        "-q",
        "--budget",
        "2 images",
    )
    assert [tutu(*arguments).code, tutu(*arguments).code] == [10, 10]
    assert asked(relay) == 2


def test_an_image_that_several_items_share_is_paid_for_once(tutu: Callable[..., Done], relay: Server) -> None:
    arguments = ("batch", "run", "photos", "Hat", "-o", "run", "--edit", "--dedupe", "-q")
    assert tutu(*arguments).code == 0
    assert asked(relay) == 1
    assert tutu("batch", "status", "run", "--json").json["images"] == 1


def test_a_schema_makes_objects_of_answers(tutu: Callable[..., Done], relay: Server) -> None:
    schema = {"type": "object", "properties": {"what": {"type": "string"}}, "required": ["what"]}
    Path("sight.json").write_text(json.dumps(schema))
    relay.answers(*[says('{"what": "a cat"}')] * 4, says("a cat"), path=CHAT)
    done = tutu("batch", "run", "photos", WHAT, "-o", "run", "--schema", "sight.json", "--concurrency", "1")
    assert done.code == 9
    assert "1 x UnexpectedResponseError: the answer does not fit sight" in done.out
    sent = relay.requests[-1].json["response_format"]
    assert (sent["type"], sent["json_schema"]["name"]) == ("json_schema", "sight")
    assert tutu("batch", "export", "run", "-o", "a.jsonl").code == 0
    rows = [json.loads(line) for line in Path("a.jsonl").read_text().splitlines()]
    assert [row["value"] for row in rows] == [{"what": "a cat"}] * 4 + [None]


def test_edits_are_saved_in_the_runs_folder(tutu: Callable[..., Done], relay: Server) -> None:
    done = tutu("batch", "run", "photos", "Put a hat on it", "-o", "run", "--edit", "--max-side", "64")
    assert done.code == 0, done.err
    made = sorted(Path("run/images").iterdir())
    assert len(made) == 5
    assert size_of(str(made[0]))[0] > 0
    assert tutu("batch", "run", "photos", "Put a hat on it", "-o", "run", "--edit", "--max-side", "64").code == 0
    assert asked(relay) == 5
    assert "5 images saved" in tutu("batch", "status", "run").out


def test_images_are_made_of_a_list_of_prompts(tutu: Callable[..., Done], relay: Server) -> None:
    Path("prompts.csv").write_text("id,prompt\n1,a red panda\n2,a cat\n")
    done = tutu("batch", "run", "prompts.csv", "--generate", "-o", "run", "-m", "drawing-image")
    assert done.code == 0, done.err
    assert (asked(relay), len([*Path("run/images").iterdir()])) == (2, 2)
    assert relay.requests[-1].json["model"] == "drawing-image"


def test_an_order_of_unknown_outcome_is_ordered_again_only_when_told(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(fails(504, "late"), path=CHAT)
    arguments = ("batch", "run", "photos/a.png", "Put a hat on it", "-o", "run", "--edit")
    done = tutu(*arguments)
    assert (done.code, asked(relay)) == (9, 1)
    assert "1 of unknown outcome, maybe done and billed: photos/a.png" in done.out
    assert "--resend-unknown    orders again what may be paid for already" in done.out
    assert (tutu(*arguments).code, tutu("batch", "retry", "run").code, asked(relay)) == (9, 9, 1)
    done = tutu("batch", "retry", "run", "--resend-unknown")
    assert (done.code, asked(relay)) == (0, 2)
    assert "orders the images of 1 item again that may have been done and billed already" in done.err


def test_an_image_that_the_relay_is_still_at_is_waited_for_by_the_same_command(
    tutu: Callable[..., Done], relay: Server
) -> None:
    relay.answers(queues(steps=[None] * 8, form="accepted", retry_after=0.3), path=CHAT)
    arguments = ("batch", "run", "photos/a.png", "Put a hat on it", "-o", "run", "--edit", "-q")
    first = tutu(*arguments, "--timeout", "1")
    assert first.code == 5
    assert "to go on: the same command again" in first.out
    assert (tutu(*arguments).code, asked(relay)) == (0, 1)


def test_questions_of_unknown_outcome_are_asked_again_with_a_warning(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(*[fails(504, "late")] * 3, path=CHAT)
    assert tutu("batch", "run", "photos/a.png", WHAT, "-o", "run").code == 9
    done = tutu("batch", "retry", "run", "-q")
    assert done.code == 0
    assert "1 item of unknown outcome will be asked again: they may have been done and billed already" in done.err


def test_another_prompt_or_source_is_refused_unless_that_is_meant(tutu: Callable[..., Done], relay: Server) -> None:
    assert tutu("batch", "run", "photos", WHAT, "-o", "run").code == 0
    for arguments in (("photos", "Who is it?"), ("photos/more", WHAT), ("photos", WHAT, "-m", "gpt-4o-mini")):
        done = tutu("batch", "run", *arguments, "-o", "run")
        assert (done.code, asked(relay)) == (2, 5)
        assert "--allow-change" in one_line(done.err)
    assert tutu("batch", "run", "photos/more", WHAT, "-o", "run", "--allow-change").code == 0
    assert asked(relay) == 7


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("photos", WHAT, "-o", "photos"), "photos is not empty and holds no run"),
        (("photos", "-o", "run"), "there is no prompt: it comes last, in quotes, behind photos"),
        (("photos", "cat.png", "-o", "run"), "the last argument is the prompt, and cat.png is a file"),
        (("photos", "https://h/a.png", "-o", "run"), "the last argument is the prompt, and https://h/a.png is a URL"),
        (("photos", WHAT), "Missing option '--output'"),
        (("photos", WHAT, "-o", "run", "--edit", "--generate"), "--edit and --generate are two runs"),
        (("photos", WHAT, "-o", "run", "--generate"), "more than one argument"),
        (("photos", WHAT, "-o", "run", "--rate", "fast"), "fast"),
        (("photos", WHAT, "-o", "run", "--budget", "5 USD"), "--budget 5 USD is no budget"),
        (("photos", WHAT, "-o", "run", "--edit", "--schema", "cat.png"), "--schema is for questions"),
        (("photos", WHAT, "-o", "run", "--sample", "0"), "--sample"),
    ],
)
def test_what_cannot_work_is_one_line_and_sends_nothing(
    tutu: Callable[..., Done], relay: Server, arguments: tuple[str, ...], words: str
) -> None:
    done = tutu("batch", "run", *arguments)
    assert (done.code, asked(relay)) == (2, 0)
    assert words in one_line(done.err)


def test_commands_of_a_folder_that_is_no_run_say_so(tutu: Callable[..., Done]) -> None:
    for command in (("status",), ("retry",), ("export", "-o", "a.csv")):
        done = tutu("batch", command[0], "photos", *command[1:])
        assert done.code == 2
        assert "photos holds no run" in one_line(done.err)


def test_status_shows_a_run_in_numbers(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(fails(400, "bad"), path=CHAT)
    tutu("batch", "run", "photos", WHAT, "-o", "run", "--sample", "2", "--concurrency", "1")
    done = tutu("batch", "status", "run")
    assert done.code == 0
    assert done.out.startswith("1 answered, 1 failed, 3 left\n  1 x BadRequestError: ")
    assert f"ask: prompt {WHAT}, model gpt-4o, detail high" in done.out
    found = tutu("batch", "status", "run", "--json").json
    assert (found["answered"], found["failed"], found["left"]) == (1, {"BadRequestError": 1}, 3)


def test_export_keeps_what_is_there_and_takes_no_odd_names(tutu: Callable[..., Done]) -> None:
    tutu("batch", "run", "photos", WHAT, "-o", "run", "-q")
    done = tutu("batch", "export", "run", "-o", "a.csv")
    assert (done.code, done.out) == (0, "5 items in a.csv\n")
    with Path("a.csv").open(encoding="utf-8-sig", newline="") as file:
        assert sorted(row["id"] for row in csv.DictReader(file)) == [
            "a.png",
            "b.png",
            "c.png",
            "more/d.png",
            "more/e.png",
        ]
    assert "a.csv exists already" in one_line(tutu("batch", "export", "run", "-o", "a.csv").err)
    assert tutu("batch", "export", "run", "-o", "a.csv", "--overwrite").code == 0
    assert "name a file that ends in .jsonl, .csv or .parquet" in one_line(
        tutu("batch", "export", "run", "-o", "a.xls").err
    )
    shown = tutu("batch", "export", "run", "-o", "-").out.splitlines()
    assert [json.loads(line)["outcome"] for line in shown] == ["done"] * 5


def test_a_report_is_written_into_the_runs_folder_or_another(tutu: Callable[..., Done]) -> None:
    tutu("batch", "run", "photos", WHAT, "-o", "run", "-q")
    for arguments, page in ((), "run/report/index.html"), (("-o", "shown"), "shown/index.html"):
        done = tutu("batch", "report", "run", *arguments)
        assert (done.code, Path(done.out.strip()).absolute()) == (0, Path(page).absolute())
        assert Path(page).is_file()


def test_equal_images_are_asked_once_where_that_is_wanted(tutu: Callable[..., Done], relay: Server) -> None:
    done = tutu("batch", "run", "photos", WHAT, "-o", "run", "--dedupe")
    assert (done.code, asked(relay)) == (0, 1)
    assert "5 answered (4 by the answer of an equal one), 0 failed" in done.out


def test_lists_have_prompts_of_their_own(tutu: Callable[..., Done], relay: Server) -> None:
    Path("list.jsonl").write_text(
        '{"image": "photos/a.png", "prompt": "one", "id": "x"}\n{"image": "photos/b.png", "prompt": "two"}\n'
    )
    assert tutu("batch", "run", "list.jsonl", "-o", "run").code == 0
    prompts = {request.json["messages"][0]["content"][0]["text"] for request in relay.requests if request.path == CHAT}
    assert prompts == {"one", "two"}


def test_nothing_but_the_summary_is_shown_when_that_is_asked(tutu: Callable[..., Done]) -> None:
    assert tutu("batch", "run", "photos", WHAT, "-o", "run", "--quiet").err == ""
    done = tutu("batch", "run", "photos", WHAT, "-o", "other", "--json", "-q")
    assert (done.json["answered"], done.json["run"], done.json["stopped"], done.err) == (5, "other", None, "")


def test_a_run_that_was_not_made_here_cannot_be_tried_again(tutu: Callable[..., Done]) -> None:
    tutu("batch", "run", "photos", WHAT, "-o", "run", "-q")
    Path("run/command.json").unlink()
    for option, keyword in ((), "retry_failed"), (("--resend-unknown",), "resend_unknown"):
        error = one_line(tutu("batch", "retry", "run", *option).err)
        assert "was not made by tutuclient batch run" in error
        assert f"with the keyword {keyword} of client.map" in error


def test_images_that_were_drawn_in_words_alone_are_failures(tutu: Callable[..., Done], relay: Server) -> None:
    relay.answers(draws(sample_picture()), says("I would rather not"), path=CHAT)
    done = tutu("batch", "run", "photos/a.png", "photos/b.png", "Draw", "-o", "run", "--edit", "--concurrency", "1")
    assert done.code == 9
    assert "1 answered, 1 failed" in done.out
    assert "NoImageError" in done.out

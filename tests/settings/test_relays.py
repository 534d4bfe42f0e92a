"""``TutuClient(relays=[…])`` as settings: what each relay is, what cannot work, and that no key is shown."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from tests.conftest import KEY
from tutuclient import ConfigError, Relay, TutuClient
from tutuclient.settings import Settings

A, B = "https://a.example/v1", "https://b.example/v1"


def several(*relays: Any, **options: Any) -> Settings:
    return Settings.make(relays=relays, user_agent="tutuclient/1", **options)


def test_each_relay_has_settings_of_its_own() -> None:
    made = several(Relay("a.example", KEY, rate="60/min"), Relay(f"{B}/", "sk-other", name="b", weight=3), rate="10/s")
    a, b = made.relays
    assert (a.base_url, a.api_key, a.rate) == (A, KEY, 1.0)
    assert (b.base_url, b.api_key, b.rate) == (B, "sk-other", 10.0)
    assert b.headers["Authorization"] == "Bearer sk-other"
    assert a.relay is not None
    assert b.relay is not None
    assert (a.relay.name, a.relay.weight, b.relay.name, b.relay.weight) == (A, 1.0, "b", 3.0)
    assert (made.base_url, made.relay, a.relays) == (A, None, ())


@pytest.mark.parametrize(("first", "second"), [(None, "1/s"), ("1/s", None), ("1/s", "3/s"), ("3/s", "1/s")])
def test_relays_that_are_counted_as_one_have_the_lowest_rate_that_is_named(
    first: str | None, second: str | None
) -> None:
    for key, account in (("k2", "ours"), ("k1", None)):
        a, b, c, d = several(
            Relay(A, "k1", account=account, rate=first),
            Relay(A, key, account=account, rate=second),
            Relay(B, "k1", rate="5/s"),
            Relay(B, "k3"),
            rate="9/s",
        ).relays
        assert [each.rate for each in (a, b, c, d)] == [1.0, 1.0, 5.0, 9.0]


def test_two_keys_of_one_address_have_two_names() -> None:
    names = [each.relay.name for each in several(Relay(A, "k1"), Relay(A, "k2"), Relay(A, "k3")).relays if each.relay]
    assert names == [A, f"{A} (2)", f"{A} (3)"]


def test_models_are_names_or_a_mapping_to_the_relays_names() -> None:
    a, b, c = several(Relay(A, KEY, models=["m"]), Relay(B, KEY, models={"m": "vendor/m"}), Relay(A, KEY)).relays
    assert [each.relay.models for each in (a, b, c) if each.relay] == [{"m": "m"}, {"m": "vendor/m"}, None]


@pytest.mark.parametrize(
    ("relays", "words"),
    [
        ([], "relays is empty"),
        ("https://a.example", "must be a list of Relay"),
        (Relay(A, KEY), "must be a list of Relay"),
        ([A], r"relays\[0\] must be a Relay"),
        ([Relay(A, KEY), {"base_url": A}], r"relays\[1\] must be a Relay"),
        ([Relay(KEY, A)], r"relays\[0\]: the order is Relay\(base_url, api_key\)"),
        ([Relay(A, "")], r"relays\[0\] has no api_key"),
        ([Relay(A, None)], r"relays\[0\] has no api_key"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  (os.getenv returns it)
        ([Relay(" ", KEY)], r"relays\[0\] has no base_url"),
        ([Relay("https://", KEY)], r"relays\[0\]: base_url must begin with"),
        ([Relay(A, KEY, weight=0)], "weight must be a number above 0"),
        ([Relay(A, KEY, weight=float("nan"))], "weight must be a number above 0"),
        ([Relay(A, KEY, weight=True)], "weight must be a number above 0"),
        ([Relay(A, KEY, models="m")], "models must be a list of names"),
        ([Relay(A, KEY, models=[])], "models is empty"),
        ([Relay(A, KEY, models=[1])], "models must hold names"),  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]  (callers are not always typed)
        ([Relay(A, KEY, name="a\nb")], "name must be text"),
        ([Relay(A, KEY, name=KEY)], "name looks like a key"),
        ([Relay(A, KEY, account="")], "account must be text"),
        ([Relay(A, KEY, rate="fast")], r"relays\[0\]: rate must be"),
        ([Relay(A, KEY, name="a"), Relay(B, KEY, name="a")], r"relays\[1\]: the name 'a' is another relay's already"),
    ],
)
def test_what_cannot_work_is_said_with_its_place(relays: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        TutuClient(relays=relays)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("more", [{"api_key": KEY}, {"base_url": A}])
def test_relays_take_the_place_of_key_and_address(more: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="not both"):
        TutuClient(relays=[Relay(A, KEY)], **more)


def test_the_environment_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUTU_API_KEY", "sk-of-the-environment")
    monkeypatch.setenv("TUTU_BASE_URL", B)
    assert [(each.base_url, each.api_key) for each in several(Relay(A, KEY)).relays] == [(A, KEY)]


def test_a_change_reaches_every_relay() -> None:
    made = several(Relay(A, KEY), Relay(B, "sk-other")).changed(timeout=7, default_headers={"X-Team": "a"})
    assert [each.timeout.total for each in (made, *made.relays)] == [7, 7, 7]
    assert [each.headers["X-Team"] for each in made.relays] == ["a", "a"]
    assert made.relays[1].headers["Authorization"] == "Bearer sk-other"


@pytest.mark.parametrize("change", [{"api_key": "sk-new"}, {"base_url": B}])
def test_one_key_or_address_for_several_relays_is_an_error(change: dict[str, Any]) -> None:
    made = several(Relay(A, KEY, name="a"), Relay(B, KEY, name="b"))
    for settings in (made, made.changed(relay="a")):
        with pytest.raises(ConfigError, match=f"each relay .* has its own {next(iter(change))}:"):
            settings.changed(**change)


def test_one_of_them_is_found_by_its_name() -> None:
    made = several(Relay(A, KEY, name="a"), Relay(B, KEY, name="b"))
    assert made.changed(relay="b", timeout=3).base_url == B
    assert made.changed(relay="b", timeout=3).timeout.total == 3
    with pytest.raises(ConfigError, match="no relay is called 'c': the names are 'a', 'b'"):
        made.changed(relay="c")
    with pytest.raises(ConfigError, match="no relay is called 'b': this copy of the client is for 'a' alone"):
        made.changed(relay="a").changed(relay="b")
    with pytest.raises(ConfigError, match="the client has one only"):
        TutuClient(KEY, A).with_options(relay="a")


def test_no_key_is_shown_and_all_can_be_pickled() -> None:
    relay = Relay(A, KEY, name="a")
    client = TutuClient(relays=[relay, Relay(B, "sk-other-0123456789")])
    for value in (relay, [relay], client, client._settings):
        assert KEY not in repr(value)
        assert KEY not in str(value)
    assert repr(client) == f"TutuClient(relays=['a', '{B}'], api_key='***')"
    assert pickle.loads(pickle.dumps(relay)) == relay  # noqa: S301  (our own)
    assert pickle.loads(pickle.dumps(client))._settings == client._settings  # noqa: S301  (our own)

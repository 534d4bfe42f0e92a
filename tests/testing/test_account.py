from tutuclient.testing import Account


def test_a_balance_can_be_set_and_falls() -> None:
    account = Account()
    account.charge(250_000)
    account.balance = 2.0
    assert (account.balance, account.used_points) == (2.0, 250_000)
    account.charge(500_000)
    assert account.balance == 1.0


def test_is_exhausted_at_nothing_unless_it_has_no_limit() -> None:
    account = Account()
    account.balance = 0
    assert account.exhausted
    assert not Account(granted_points=0, unlimited=True).exhausted


def test_shows_units_hundredths_and_points() -> None:
    account = Account(granted_points=5_000_000, used_points=1_000_000, name="mine")
    assert account.subscription()["hard_limit_usd"] == 10.0
    assert account.usage() == {"object": "list", "total_usage": 200.0}
    shown = account.token_usage()
    assert shown["code"] is True
    assert shown["data"] == {
        "object": "token_usage",
        "name": "mine",
        "total_granted": 5_000_000,
        "total_used": 1_000_000,
        "total_available": 4_000_000,
        "unlimited_quota": False,
        "model_limits": {},
        "model_limits_enabled": False,
        "expires_at": 0,
    }


def test_shows_an_unlimited_key_as_new_api_does() -> None:
    assert Account(unlimited=True).subscription()["hard_limit_usd"] == 100_000_000

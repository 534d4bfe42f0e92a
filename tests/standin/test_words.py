import pytest

from tutuclient.standin.words import Words, split_name, terms


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("What is the weather in Oslo and Turin?", ["Oslo", "Turin"]),
        ("Oslo, New York and Rio de Janeiro", ["Oslo", "New York", "Rio de Janeiro"]),
        ('Translate "good morning" and "good night"', ["good morning", "good night"]),
        ("把「猫」和「狗」翻译成英文", ["猫", "狗"]),
        ("weather in oslo and new york please", ["oslo", "new york"]),
        ("奥斯陆和都灵怎么样?", ["奥斯陆", "都灵"]),
        ("Alice's brother", ["Alice"]),
        ("How are you today?", []),
        ("see https://Example.com/Path and Me@Example.com", []),
    ],
)
def test_finds_the_names_of_a_text(text: str, names: list[str]) -> None:
    assert Words(text).names == names


def test_leaves_out_words_that_are_no_names_here() -> None:
    assert Words("Forecast for Oslo", without={"forecast"}).names == ["Oslo"]
    assert Words("奥斯陆天气", without={"天气"}).names == ["奥斯陆"]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("add 3 and 4.5", [3, 4.5]),
        ("a 720x540 picture for 1,234.5", [720, 540, 1234.5]),
        ("minus -7, on 2026-05-01 at gpt4", [-7]),
    ],
)
def test_finds_numbers_but_neither_dates_nor_parts_of_words(text: str, numbers: list[float]) -> None:
    assert Words(text).numbers == numbers


def test_passes_over_what_is_not_a_number() -> None:
    words = Words(f"{'9' * 5000} days")
    assert (words.numbers, words.number_near("days")) == ([], None)


def test_hands_out_each_word_once() -> None:
    words = Words("Ada and Bob, 1 and 2")
    assert [words.take_name(), words.take_name(), words.take_name()] == ["Ada", "Bob", None]
    assert [words.take_number(), words.take_number(), words.take_number()] == [1, 2, None]
    assert not words.left


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("max_price: 20, colour = dark red.", "colour", "dark red"),
        ("the city is Oslo and the rest", "city", "Oslo"),
        ('title: "A: B"', "title", "A: B"),
        ("名称为「猫」", "名称", "猫"),
        ("maxPrice is 3", "max_price", "3"),
        ("nothing of it", "city", None),
    ],
)
def test_finds_the_value_of_a_key(text: str, key: str, value: str | None) -> None:
    assert Words(text).value_of(key) == value


@pytest.mark.parametrize(
    ("text", "key", "number"),
    [("for 3 days", "days", 3), ("days = 1,200", "days", 1200), ("Ada is aged 36", "age", 36), ("36", "age", None)],
)
def test_finds_the_number_beside_a_key_and_hands_it_out_no_more(text: str, key: str, number: float | None) -> None:
    words = Words(text)
    assert words.number_near(key) == number
    assert words.numbers == ([36] if number is None else [])


def test_a_name_that_was_the_value_of_a_key_is_handed_out_no_more() -> None:
    words = Words("city: Oslo, friend of Ada")
    assert words.value_of("city") == "Oslo"
    assert words.take_name() == "Ada"


def test_sees_mentioned_words_in_any_case() -> None:
    words = Words("Two Reds in 摄氏")
    assert words.mentions("red")
    assert words.mentions("摄氏")
    assert not words.mentions("re")


def test_cuts_names_into_words() -> None:
    assert split_name("getHTTPStatus_code2") == ["get", "http", "status", "code", "2"]
    assert split_name("查询") == ["查询"]


def test_terms_leave_out_what_says_nothing() -> None:
    assert terms("Get the current weather in cities") == {"weather", "citie"}
    assert terms("新闻") & terms("Read the news")
    assert terms("查询天气") == {"查询", "询天", "天气", "weather"}

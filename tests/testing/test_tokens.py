import pytest

from tutuclient.testing.tokens import logprob, prompt_tokens, tokens


@pytest.mark.parametrize(
    ("text", "cut"),
    [("", []), ("two words", ["two", " words"]), ("你好 a.", ["你", "好", " a", "."]), ("36..47", ["36", "..47"])],
)
def test_a_token_is_a_word_or_a_character_of_chinese(text: str, cut: list[str]) -> None:
    assert tokens(text) == cut


def test_a_prompt_counts_its_words_and_85_an_image() -> None:
    parts = [{"type": "text", "text": "two words"}, {"type": "image_url"}]
    assert prompt_tokens({"messages": [{"role": "user", "content": parts}, {"content": "one"}, "odd"]}) == 88
    assert prompt_tokens({}) == 0


def test_the_same_token_has_the_same_probability_and_rivals_are_less_likely() -> None:
    described = logprob("a", ["a", "b", "c"], 2)
    assert described["logprob"] == logprob("a", [], 0)["logprob"]
    assert [top["token"] for top in described["top_logprobs"]] == ["a", "b"]
    first, second = (top["logprob"] for top in described["top_logprobs"])
    assert first > second

import math

import pytest

from tutuclient.standin.vectors import embed


def near(one: str, other: str, dimensions: int = 512) -> float:
    return sum(a * b for a, b in zip(embed(one, dimensions), embed(other, dimensions), strict=True))


def test_similar_texts_are_nearer_than_others() -> None:
    assert near("a cat sits on the mat", "the cat sat on a mat") > 0.5
    assert abs(near("a cat sits on the mat", "stock prices crashed")) < 0.3
    assert near("图片里有一只猫", "图片里有两只猫") > near("图片里有一只猫", "股票大跌")


@pytest.mark.parametrize("text", ["hello", "", "!!!", "你好", "word " * 500])
@pytest.mark.parametrize("dimensions", [1, 2, 256])
def test_every_vector_has_its_size_and_length_one(text: str, dimensions: int) -> None:
    vector = embed(text, dimensions)
    assert len(vector) == dimensions
    assert math.sqrt(sum(value * value for value in vector)) == pytest.approx(1)


def test_the_same_text_has_the_same_vector_in_any_case() -> None:
    assert embed("Hello There", 64) == embed("hello there", 64)


def test_texts_without_words_have_a_place_of_their_own() -> None:
    assert embed("!!!", 256) != embed("???", 256)


def test_words_that_cancel_out_give_a_vector_all_the_same() -> None:
    assert embed("a d", 1) == [1.0]

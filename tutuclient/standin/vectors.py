"""Embeddings without a model: hashed words and letter groups, so that similar texts lie near each other.

The same text gives the same vector everywhere. Nearness is about spelling, not meaning.
"""

import math
import re
import zlib
from collections import Counter

SIZES = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072, "text-embedding-ada-002": 1536}
"""The length of a model's vectors."""

USUAL_SIZE = 256
"""The length of all other models' vectors."""

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_]+")


def embed(text: str, dimensions: int) -> list[float]:
    """Compute a text's vector, of norm 1 and with ``dimensions`` (at least 1) floats; case does not matter.

    A text without any word gets a vector of its own too.
    """
    counted: Counter[str] = Counter()
    for word in _WORD.findall(text.lower()):
        counted[word] += 3
        # Groups of letters at a word's ends differ from those in its middle, and words with the same stem lie near each
        # other.
        framed = f"<{word}>"
        counted.update(framed[place : place + 3] for place in range(max(1, len(framed) - 2)))
    made = [0.0] * dimensions
    for feature, number in (counted or Counter([f"\0{text}"])).items():
        hashed = zlib.crc32(feature.encode("utf-8", "replace"))
        # With a sign, so that features that fall into the same place cancel out on average instead of adding up.
        made[(hashed >> 1) % dimensions] += (1 if hashed & 1 else -1) * math.sqrt(number)
    length = math.sqrt(sum(value * value for value in made))
    if not length:  # All cancelled out, in very few dimensions.
        return [1.0, *made[1:]]
    return [value / length for value in made]

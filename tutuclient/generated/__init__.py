"""The pictures in an answer: found wherever the relay hid them, fetched safely, saved whole or not at all."""

from __future__ import annotations

from tutuclient.generated.finding import ImageFinder, Pictures, find_images
from tutuclient.generated.picture import GeneratedImage

__all__ = ["GeneratedImage", "ImageFinder", "Pictures", "find_images"]

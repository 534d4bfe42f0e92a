"""The brain behind ``serve`` and ``demo``: answers to whatever is asked, without a model."""

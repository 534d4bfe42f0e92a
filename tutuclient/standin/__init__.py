"""The stand-in behind ``serve`` and ``demo``: it answers whatever is asked, without a model."""

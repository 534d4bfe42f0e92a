"""Many images at once: ``python -m benchmarks fanout``; see ``suite``.

``relays`` are routes of the server of all benchmarks, so nothing is imported here.
"""

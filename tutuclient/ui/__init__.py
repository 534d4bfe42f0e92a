"""A page on loopback to try a relay with: ask about an image and watch the tokens come, edit it, generate one.

``serve_page`` runs it. The server side makes all calls, with a ``TutuClient``; the browser gets neither the key nor an
address of anything outside, and the page needs nothing but its own files, which stand in ``page``.
"""

from tutuclient.ui.server import Page as Page
from tutuclient.ui.server import serve_page as serve_page

__all__ = ["Page", "serve_page"]

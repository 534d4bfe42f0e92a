from tests.testing.conftest import http, nothing_is_logged_as_an_error, server

__all__ = ["http", "nothing_is_logged_as_an_error", "server"]

"""Real servers for tests, the demo and the benchmark.

Every server is a context manager, needs no pytest, listens on 127.0.0.1 only, keeps
everything in one temporary folder, and is ended by its own process id. What a server
needs from the machine it asks of `tests.servers.programs`, which raises `Unavailable`;
`tests/conftest.py` turns that into a skip, or into a failure with `--require-real`.
"""

from tests.servers.programs import Unavailable, require

__all__ = ["Unavailable", "require"]

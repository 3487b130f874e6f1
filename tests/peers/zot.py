"""zot as a plain process: a registry that has the referrers API."""

import json
import shutil
import socket
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.servers.process import Process, accepts_tcp


class Zot:
    """`with Zot() as zot:` starts it and removes it afterwards."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="zot-"))
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._process = Process(self.root / "log")

    @property
    def host(self) -> str:
        """`127.0.0.1:PORT`, as in the name of an image."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """`http://127.0.0.1:PORT`."""
        return f"http://{self.host}"

    def __enter__(self) -> Self:
        configuration = {
            "storage": {"rootDirectory": str(self.root / "data"), "gc": False},
            # docker2s2: Docker's media types are refused without it.
            "http": {"address": "127.0.0.1", "port": str(self.port), "compat": ["docker2s2"]},
            "log": {"level": "warn"},
        }
        (self.root / "config.json").write_text(json.dumps(configuration))
        self._process.start(["zot", "serve", self.root / "config.json"], cwd=self.root)
        self._process.wait_until(lambda: accepts_tcp(self.port), timeout_s=30)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.stop()
        shutil.rmtree(self.root)

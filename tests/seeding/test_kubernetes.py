"""The DaemonSet of the docs: its arguments do what the page says, from a bundle that is served."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.cli.run import IMGSYNC, imgsync

if TYPE_CHECKING:
    from tests.images import Images
    from tests.servers.containerd import Containerd

FILE = Path(__file__).parents[2] / "docs" / "kubernetes" / "import-daemonset.yaml"
APP = "registry.example/team/app:1.0"


@pytest.mark.real
def test_its_arguments_import_from_what_is_served(
    fixture_images: Images, new_containerd: Containerd, tmp_path: Path
) -> None:
    archive = fixture_images.write_archive(tmp_path / "site.tar")
    pod = yaml.safe_load(FILE.read_text(encoding="utf-8"))["spec"]["template"]["spec"]
    (container,) = pod["initContainers"]
    words = [*IMGSYNC, "serve", str(archive), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            said = iter(server.stdout)
            at = next(
                found[1] for line in said if (found := re.search(r"serving at \S+//([^,]+)", line))
            )
            arguments = [
                text.replace("10.0.0.5:5000", at)
                .replace("harbor.example.com/project/app:1.0", APP)
                .replace("harbor.example.com", "registry.example")
                .replace("/run/containerd/containerd.sock", str(new_containerd.socket))
                for text in container["args"]
                if not text.startswith("--ca-file")
            ]
            imgsync(*arguments, "--plain-http-host", at)
        finally:
            server.terminate()
    assert new_containerd.images("k8s.io")[APP] == fixture_images.names[APP]["digest"]

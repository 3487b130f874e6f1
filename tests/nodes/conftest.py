"""The nodes of these tests: namespaces of a real containerd, as imgsync sees them."""

from tests.stores.containerd.conftest import load, ours

__all__ = ["load", "ours"]

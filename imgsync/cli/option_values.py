"""What options say, for those who need not know the options. Frozen."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """How a run tells what it does."""

    progress: str = "auto"
    quiet: bool = False
    debug: bool = False


@dataclass(frozen=True, slots=True)
class ContainerdOptions:
    """Which containerd, and which of its namespaces; empty texts are found out."""

    namespace: str = "k8s.io"
    address: str = ""
    ctr: str = ""

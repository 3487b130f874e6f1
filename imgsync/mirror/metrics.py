"""Prometheus metrics as a text file, for node_exporter's textfile collector. Pure.

The file is replaced as a whole (`imgsync.mirror.files.write_file`), because the collector may
read at any moment. Its name must end in ``.prom`` there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from imgsync.mirror.summary import Summary

_HEAD: Final = "imgsync_mirror_"


def metrics_text(summary: Summary) -> str:
    """All metrics of a run."""
    config = {"config": summary.config}
    lines = [
        *_metric(
            "last_run_timestamp_seconds", "When the last run ended.", [(config, summary.ended_s)]
        ),
        *_metric(
            "last_success_timestamp_seconds",
            "When a run last ended with every image as it should be; 0 for never.",
            [(config, summary.last_success_s)],
        ),
        *_metric(
            "interrupted",
            "1 if the last run was interrupted.",
            [(config, float(summary.is_interrupted))],
        ),
        *_metric("duration_seconds", "How long the last run took.", [(config, summary.duration_s)]),
        *_metric(
            "images",
            "Images of the last run by what came of them.",
            [({**config, "status": name}, count) for name, count in summary.counts.items()],
        ),
        *_metric("sent_bytes", "Bytes that the last run sent.", [(config, summary.n_sent_bytes)]),
        *_metric(
            "failures",
            "Images that failed in the last run, by the registry they were to go to.",
            [({**config, "host": host}, n) for host, n in summary.failures_by_host.items()],
        ),
        *_metric(
            "pulls_remaining",
            "Pulls that a registry said it still gives.",
            [({"host": host}, left.remaining) for host, left in summary.budgets.items()],
        ),
    ]
    return "".join(f"{line}\n" for line in lines)


def _metric(name: str, about: str, samples: Iterable[tuple[Mapping[str, str], float]]) -> list[str]:
    lines = [f"# HELP {_HEAD}{name} {about}", f"# TYPE {_HEAD}{name} gauge"]
    for labels, value in samples:
        inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in sorted(labels.items()))
        lines.append(f"{_HEAD}{name}{{{inner}}} {value:.17g}")
    return lines if len(lines) > 2 else []


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")

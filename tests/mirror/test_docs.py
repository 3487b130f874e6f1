"""What docs/mirror.md and the files for cron, systemd and Kubernetes say is what works."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from imgsync.cli import main
from imgsync.mirror.formats import FORMATS
from imgsync.mirror.metrics import metrics_text
from imgsync.mirror.read import read_config
from imgsync.mirror.schema import json_schema
from imgsync.mirror.summary import Summary
from tests.servers.programs import program

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "mirror.md").read_text(encoding="utf-8")
CONFIGS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("text", CONFIGS)
def test_every_config_of_the_page_is_one(text: str) -> None:
    config = read_config(text.encode(), "m.yaml", environment={"HARBOR": "harbor.example.com"})
    assert config.sources


def _targets(text: str) -> dict[str, str]:
    config = read_config(text.encode(), "m.yaml", environment={})
    found = {}
    for source in config.sources:
        tag = (*source.tags.exact, "x")[0]
        target = source.target or source.mapping.apply(source.repository.with_tag(tag))
        found[source.repository.repository] = target.name
    return found


def test_names_go_where_the_page_says() -> None:
    assert _targets(CONFIGS[0])["library/nginx"] == "harbor.example.com/mirror/web/nginx"
    assert _targets(CONFIGS[2]) == {
        "cilium/cilium": "harbor.example.com/mirror/quay.io/cilium/cilium",
        "library/busybox": "harbor.example.com/mirror/base/busybox",
        "org/tool": "harbor.example.com/tools/tool",
    }


def test_tags_are_those_that_the_page_says() -> None:
    redis, debian, proxy = read_config(CONFIGS[1].encode(), "m.yaml", environment={}).sources
    tags = ["7-alpine", "7.2.4-alpine", "7.4.1-alpine", "6.2-alpine", "7.4.1", "8.0-alpine"]
    assert redis.tags.choose(tags) == ("7.4.1-alpine", "7.2.4-alpine")
    chosen = debian.tags.choose(["12", "12-slim", "11", "stable", "123", "stable-slim"])
    assert set(chosen) == {"stable-slim", "12", "12-slim"}
    chosen = proxy.tags.choose(["v1.30.1", "v1.31.0", "v1.32.0-rc.1", "v1.2.0"])
    assert chosen == ("v1.31.0",)


def test_every_key_and_format_is_on_the_page() -> None:
    def keys(schema: Any) -> set[str]:
        found = set(schema.get("properties", {}))
        parts = [*schema.get("properties", {}).values(), *schema.get("anyOf", [])]
        parts += [schema[key] for key in ("items", "additionalProperties") if key in schema]
        return found.union(*(keys(part) for part in parts if isinstance(part, dict)))

    rare = {"version", "output", "ca-file", "cert", "key", "plain-http", "insecure", "referrers"}
    assert [key for key in sorted(keys(json_schema()) - rare) if key not in PAGE] == []
    assert [name for name in FORMATS if name not in PAGE] == []


def test_every_metric_of_the_page_is_one() -> None:
    text = metrics_text(Summary("m", (), 0, 0))
    assert "imgsync_mirror_last_success_timestamp_seconds" in text
    for name in re.findall(r"`…(_\w+)", PAGE):
        known = {"_failures", "_pulls_remaining", "_images"}
        assert f"imgsync_mirror{name}" in text or name in known


def _parse(words: list[str]) -> click.Context:
    """The options of a command line, taken apart as the program does, without running it."""
    assert Path(words[0]).name == "imgsync"
    command = main.get_command(click.Context(main), words[1])
    assert command is not None
    return command.make_context(words[1], words[2:])


def _crontab() -> str:
    lines = (DOCS / "systemd" / "crontab").read_text().splitlines()
    (line,) = [line for line in lines if re.match(r"[\d*]", line)]
    return line


def test_the_crontab_line_is_that_of_the_page() -> None:
    assert f"```cron\n{_crontab()}\n```" in PAGE
    *times, command = _crontab().split(" ", 5)
    assert [re.fullmatch(r"\*|\d+", field) is not None for field in times] == [True] * 5
    assert "%" not in command, "cron makes a newline of it"
    _parse(shlex.split(command))


def test_the_crontab_line_runs_in_the_environment_of_cron(tmp_path: Path) -> None:
    """Cron has a poor PATH, no terminal, and sh."""
    config = tmp_path / "site.yaml"
    config.write_text("defaults: {to: 127.0.0.1:9/m}\nsources: ['127.0.0.1:9/a:1']\n")
    (tmp_path / "imgsync").write_text(f'#!/bin/sh\nexec {sys.executable} -m imgsync "$@"\n')
    (tmp_path / "imgsync").chmod(0o755)
    command = _crontab().split(" ", 5)[5]
    command = command.replace("/etc/imgsync", str(tmp_path)).replace(
        "/var/lib/imgsync", str(tmp_path)
    )
    command = command.replace("--jitter 10m", "--jitter 0s") + " --retries 0"
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "HOME": str(tmp_path), "SHELL": "/bin/sh"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
        timeout=60,
    )
    assert done.returncode == 6, done.stderr
    assert done.stdout.startswith("site.yaml: 1 failed")
    assert (tmp_path / "site.json").exists()


def _unit(name: str) -> str:
    return (DOCS / "systemd" / name).read_text()


def test_the_unit_runs_a_command_that_there_is() -> None:
    (line,) = re.findall(r"^ExecStart=(.*)$", _unit("imgsync-mirror@.service"), re.MULTILINE)
    line = line.replace("%i", "site").replace("${STATE_DIRECTORY}", "/var/lib/imgsync")
    context = _parse(shlex.split(line))
    assert context.params["config_path"] == "/etc/imgsync/site.yaml"


@pytest.mark.real
def test_systemd_takes_the_units(tmp_path: Path) -> None:
    analyze = program("systemd-analyze")
    for name in ("imgsync-mirror@.service", "imgsync-mirror@.timer"):
        text = _unit(name).replace("/usr/bin/imgsync", "/bin/true")
        (tmp_path / name.replace("@", "@site")).write_text(text)
    units = sorted(str(path) for path in tmp_path.iterdir())
    done = subprocess.run(
        [analyze, "verify", *units], capture_output=True, text=True, check=False, env=os.environ
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_cronjob_runs_a_command_that_there_is() -> None:
    job = yaml.safe_load((DOCS / "kubernetes" / "cronjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "CronJob")
    spec = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    _parse(["imgsync", *container["args"]])
    volumes = {volume["name"] for volume in spec["volumes"]}
    assert {mount["name"] for mount in container["volumeMounts"]} == volumes

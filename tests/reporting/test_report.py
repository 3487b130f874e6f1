"""What a report tells of a store, in its three forms."""

from __future__ import annotations

import csv
import io
import json
from html import unescape
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from imgsync.cli import main
from imgsync.cli.output import human_size
from imgsync.errors import ContentError
from imgsync.model.bundle import AbsentReason, Root
from imgsync.model.digest import Digest
from imgsync.model.lock import Lock
from imgsync.reporting.evidence import Kind
from imgsync.reporting.gathering import report_of
from imgsync.reporting.page import page
from imgsync.reporting.tables import csv_of
from tests.bundles import memory_of, write_bundle
from tests.images import Images
from tests.reporting.site import (
    GUEST,
    LICENCES,
    MEAN,
    NGINX,
    REDIS,
    SOURCE,
    TOOL,
    Reader,
    big_layer,
    image,
    partial,
    site,
    site_report,
)
from tests.upload import upload

if TYPE_CHECKING:
    from pathlib import Path

    from imgsync.reporting.facts import ImageReport, Report
    from tests.servers.containerd import Containerd
    from tests.servers.registry import Registry


def _image(report: Report, name: str) -> ImageReport:
    return next(image for image in report.images if image.name == name)


class TestFacts:
    def test_images_and_everything_else(self) -> None:
        report = site_report()
        assert [image.name for image in report.images] == [REDIS, NGINX, TOOL, GUEST]
        kinds = [item.kind for item in report.others]
        assert kinds.count(Kind.PROVENANCE) == 3
        assert kinds.count(Kind.SIGNATURE) == kinds.count(Kind.SBOM) == 1

    def test_platforms_and_what_is_left_out(self) -> None:
        report = site_report()
        assert report.platforms == ("linux/amd64", "linux/arm64")
        amd64, arm64 = _image(report, NGINX).platforms
        assert (amd64.is_whole, arm64.is_whole, arm64.is_declared) == (True, False, True)
        (absence,) = _image(report, NGINX).absences
        assert absence.reason is AbsentReason.PLATFORM
        assert absence.n_objects == 3, "a config and two layers; the manifest travels"
        assert absence.n_bytes > 39_000_000

    def test_what_is_missing_without_a_word(self) -> None:
        memory = memory_of(site())
        manifest = json.loads(memory.blobs[memory.roots[0].descriptor.digest])["manifests"][1]
        del memory.blobs[Digest.parse(manifest["digest"])]
        image = _image(report_of(memory, "x"), REDIS)
        assert not image.is_declared
        assert [item.is_whole for item in image.platforms] == [True, False]

    def test_sizes_count_each_object_once(self) -> None:
        report = report_of(memory_of(site()), "x")
        redis = _image(report, REDIS)
        assert 70_000_000 < redis.size < 70_100_000
        assert 10_000_000 < redis.own_size < 10_100_000, "the bases are used by others too"
        assert report.saved == sum(image.size for image in report.images) - report.n_image_bytes
        assert report.saved == 120_000_000, "two bases, each saved twice"

    def test_a_second_name_is_no_second_user(self) -> None:
        images = Images()
        app = images.image([big_layer(images, "a", 1000)])
        images.name("registry.example/app:1", app)
        images.name("registry.example/app:latest", app)
        report = report_of(memory_of(images), "x")
        assert all(image.own_size == image.size for image in report.images)

    def test_signed_is_who_has_a_signature_of_the_root_or_of_all_platforms(self) -> None:
        report = report_of(memory_of(site()), "x")
        assert [image.is_signed for image in report.images] == [True, False, False, False]
        assert _image(report, REDIS).has(Kind.SBOM)
        images = site()
        notation = "application/vnd.cncf.notary.signature"
        first, second, _ = images.json(images.names[NGINX]["digest"])["manifests"]
        images.referrer(first, notation, b"1", "docker.io/library/nginx")
        assert not _image(report_of(memory_of(images), "x"), NGINX).is_signed
        images.referrer(second, notation, b"2", "docker.io/library/nginx")
        assert _image(report_of(memory_of(images), "x"), NGINX).is_signed

    def test_a_signature_of_the_sbom_signs_no_image(self) -> None:
        images = site()
        sbom = images.referrer(
            images.names[NGINX], "application/spdx+json", b"{1}", "docker.io/library/nginx"
        )
        images.referrer(
            sbom, "application/vnd.cncf.notary.signature", b"1", "docker.io/library/nginx"
        )
        nginx = _image(report_of(memory_of(images), "x"), NGINX)
        assert not nginx.is_signed
        assert {item.kind for item in nginx.evidence} == {
            Kind.SIGNATURE,
            Kind.SBOM,
            Kind.PROVENANCE,
        }

    def test_a_signature_whose_payload_is_absent_counts_for_nothing(self) -> None:
        memory = memory_of(site())
        signature = next(root for root in memory.roots if root.label.endswith(".sig"))
        (layer,) = json.loads(memory.blobs[signature.descriptor.digest])["layers"]
        del memory.blobs[Digest.parse(layer["digest"])]
        assert not _image(report_of(memory, "x"), REDIS).is_signed

    def test_older_labels_and_annotations_count(self) -> None:
        images = Images()
        old = image(images, [], labels={"org.label-schema.license": "MIT", "maintainer": "ann"})
        new = image(images, [], annotations={LICENCES: "ISC", SOURCE: "https://example.com"})
        images.name("registry.example/old:1", old)
        images.name("registry.example/new:1", new)
        report = report_of(memory_of(images), "x")
        assert [item.label(LICENCES) for item in report.images] == ["MIT", "ISC"]
        assert report.images[1].label(SOURCE) == "https://example.com"

    def test_images_without_a_full_name_and_without_anything(self) -> None:
        images = Images()
        app = images.image([])
        images.name("registry.example/app:1", app)
        images.name("registry.example/nothing:1", images.index([]))
        memory = memory_of(images)
        memory.roots[0] = Root(None, memory.roots[0].descriptor, extra="1.0")
        report = report_of(memory, "x")
        assert [item.name for item in report.images] == ["1.0", "registry.example/nothing:1"]
        assert page(report, human_size)

    def test_damage_is_an_error(self) -> None:
        memory = memory_of(site())
        memory.blobs[memory.roots[0].descriptor.digest] = b"{}"
        with pytest.raises(ContentError):
            report_of(memory, "x")

    def test_json_has_it_all(self) -> None:
        value = site_report().to_json()
        again = json.loads(json.dumps(value))
        assert again["format"] == "imgsync.report/1"
        assert again["failed"] == ["docker.io/library/mongo:8"]
        redis = again["images"][0]
        assert redis["signed"]
        assert redis["licences"] == "BSD-3-Clause"
        assert redis["platforms"][1]["absent"][0]["reason"] == "platform-not-chosen"
        digests = {item["digest"]: item["kind"] for item in again["others"]}
        assert {digests[digest] for digest in redis["evidence"]} == {
            "signature",
            "SBOM",
            "provenance",
        }


class TestCsv:
    def test_a_line_for_each_platform_and_for_everything_else(self) -> None:
        rows = list(csv.DictReader(io.StringIO(csv_of(site_report()).decode())))
        redis = [row for row in rows if row["name"] == REDIS]
        assert [row["platform"] for row in redis] == ["linux/amd64", "linux/arm64"]
        assert [row["whole"] for row in redis] == ["yes", "no"]
        assert redis[1]["not_whole_because"] == "platform-not-chosen"
        assert [row["what"] for row in rows].count("signature") == 1

    @pytest.mark.parametrize("mean", [*MEAN, "+1", "-1", "@SUM(A1)", "\t=1"])
    def test_no_cell_is_a_formula(self, mean: str) -> None:
        images = Images()
        images.name(GUEST, image(images, [], labels={LICENCES: mean}, created=mean))
        raw = csv_of(report_of(memory_of(images), "x"))
        (row,) = csv.DictReader(io.StringIO(raw.decode(), newline=""))
        for cell in row.values():
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


class TestPage:
    def test_the_same_store_gives_the_same_page(self) -> None:
        assert page(site_report(), human_size) == page(site_report(), human_size)

    def test_it_needs_nothing_else(self) -> None:
        html = page(site_report(), human_size).decode()
        head = unescape(html.partition("</head>")[0])
        assert "default-src 'none'" in head
        assert "unsafe" not in head
        elements = Reader(html).elements
        names = [name for name, _ in elements]
        assert names.count("script") == names.count("style") == 1
        assert not set(names) & {"img", "iframe", "object", "embed", "a", "form", "base"}
        for _, attributes in elements:
            assert not {"src", "style", "srcset"} & attributes.keys()
            assert not [name for name in attributes if name.startswith("on")]
            assert attributes.get("href", "data:,") == "data:,"

    def test_what_is_missing_without_a_word_is_told_first(self) -> None:
        memory = memory_of(site())
        del memory.blobs[Digest.parse(site().names[TOOL]["digest"])]
        html = page(report_of(memory, "x"), human_size).decode()
        assert "nothing declares to be left out" in html.partition("<section>")[0]
        assert "nothing declares to be left out" not in page(site_report(), human_size).decode()

    @pytest.mark.parametrize("reason", list(AbsentReason))
    def test_every_reason_has_words(self, reason: AbsentReason) -> None:
        html = page(report_of(partial(site(), reason), "x"), human_size).decode()
        assert "What is left out" in html

    def test_a_title_is_quoted_where_it_is_a_word_of_a_command(self) -> None:
        html = page(site_report(title="my site; rm -rf.tar"), human_size).decode()
        assert "imgsync verify &#x27;my site; rm -rf.tar&#x27;" in html


def _report(*args: object) -> Result:
    return CliRunner().invoke(main, ["report", *map(str, args)])


class TestCommand:
    def test_the_end_of_the_name_says_what_is_written(
        self, tmp_path: Path, fixture_images: Images
    ) -> None:
        bundle = write_bundle(tmp_path / "site.tar", fixture_images, "linux/amd64,linux/s390x")
        beginnings = {"html": b"<!DOCTYPE html>", "csv": b"what,name", "json": b"{"}
        for suffix, beginning in beginnings.items():
            out = tmp_path / f"site.{suffix}"
            result = _report(bundle, "-o", out)
            assert (result.exit_code, result.stderr) == (0, "")
            assert out.read_bytes().startswith(beginning)
        value = json.loads((tmp_path / "site.json").read_bytes())
        assert value["title"] == "site.tar"
        assert value["fileSize"] == bundle.stat().st_size
        assert value["form"] == "imgsync bundle (partial, archive)"
        assert value["lock"].encode() in (tmp_path / "site.html").read_bytes()

    def test_the_lock_is_the_bundles(self, tmp_path: Path, fixture_images: Images) -> None:
        bundle = write_bundle(tmp_path / "site.tar", fixture_images)
        value = json.loads(_report(bundle, "-o", "-", "--format", "json").stdout)
        lock = Lock.parse(bundle.read_bytes()[512:].partition(b"\n}\n")[0] + b"\n}\n")
        assert value["lock"] == str(lock.descriptor().digest)

    def test_volumes_make_one_page(self, tmp_path: Path, fixture_images: Images) -> None:
        folder = fixture_images.write_layout(tmp_path / "layout")
        whole = tmp_path / "site.tar"
        for more in ((), ("--volume-size", "150K")):
            made = CliRunner().invoke(main, ["bundle", f"oci:{folder}", "-o", str(whole), *more])
            assert made.exit_code == 0, made.output
        volumes = sorted(tmp_path.glob("site.*of*.tar"))
        assert len(volumes) > 1

        def told(*paths: Path) -> dict[str, Any]:
            result = _report(*paths, "-o", "-", "--format", "json")
            assert result.exit_code == 0, result.output
            value: dict[str, Any] = json.loads(result.stdout)
            return value

        together, alone = told(*volumes), told(whole)
        assert together["images"] == alone["images"]
        assert together["form"] == f"{len(volumes)} volumes together"
        assert together["fileSize"] == sum(path.stat().st_size for path in volumes)
        assert (together["lock"], alone["lock"] is None) == (None, False)
        part = told(*volumes[1:])
        assert any(not p["whole"] for image in part["images"] for p in image["platforms"])
        html = _report(*volumes, "-o", "-").stdout
        assert f"imgsync verify {' '.join(path.name for path in volumes)}" in html

    def test_only_some_images(self, tmp_path: Path, fixture_images: Images) -> None:
        bundle = write_bundle(tmp_path / "site.tar", fixture_images)
        args = ("-o", "-", "--format", "json", "--image", "*/docker/*")
        value = json.loads(_report(bundle, *args).stdout)
        assert {item["name"].rpartition("/")[2] for item in value["images"]} == {
            "list:1",
            "single:1",
        }
        assert value["form"] == "imgsync bundle (archive)"

    def test_another_form_is_asked_for(self, tmp_path: Path, fixture_images: Images) -> None:
        fixture_images.write_layout(tmp_path / "layout")
        assert _report(tmp_path / "layout", "-o", tmp_path / "site.pdf").exit_code == 2
        result = _report(tmp_path / "layout", "-o", tmp_path / "site", "--format", "csv")
        assert result.exit_code == 0
        assert (tmp_path / "site").read_bytes().startswith(b"what,")
        assert _report(tmp_path / "layout", "-o", tmp_path / "page").exit_code == 0
        assert (tmp_path / "page").read_bytes().startswith(b"<!DOCTYPE")

    @pytest.mark.real
    def test_a_registry_and_a_namespace(
        self,
        tmp_path: Path,
        registry: Registry,
        repository: str,
        new_containerd: Containerd,
        namespace: str,
    ) -> None:
        images = Images()
        app = "registry.example/app:1"
        images.name(app, images.index([images.image([images.layer({"a": b"a"})])]))
        uploaded = upload(registry.url, images, prefix=f"{repository}/")
        args = ("-o", "-", "--format", "json")
        value = json.loads(_report(uploaded[app], *args).stdout)
        assert value["images"][0]["digest"] == images.names[app]["digest"]
        new_containerd.import_archive(write_bundle(tmp_path / "a.tar", images), namespace)
        ctr = ("-n", namespace, "--address", new_containerd.socket)
        value = json.loads(_report("containerd:", *ctr, *args).stdout)
        assert value["images"][0]["platforms"][0]["whole"]

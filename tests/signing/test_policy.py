"""Signed bundles: what is let in, and what is not, whatever was done to it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from imgsync.bundling.bundle import bundle_to_file, bundle_to_store, bundle_to_volumes
from imgsync.bundling.request import BundleOptions
from imgsync.errors import AccessDenied, AllFailed, NotFound, NotSigned
from imgsync.events import ignore
from imgsync.model.bundle import Root
from imgsync.model.lock import DOCKER_PLATFORM, Lock
from imgsync.model.mapping import Mapping
from imgsync.model.reference import Reference
from imgsync.model.tar_layout import tar_layout
from imgsync.retagging import plan_renaming, rename_bundle
from imgsync.signing import locks
from imgsync.signing.policy import Policy
from imgsync.signing.ssh import sign
from imgsync.stores.archive.archive import Archive
from imgsync.stores.archive.beside import lock_of, signature_of
from imgsync.stores.archive.opening import open_archive
from imgsync.stores.layout import Layout
from imgsync.stores.memory import Memory
from imgsync.stores.selected import Selected
from imgsync.verify import verify
from tests.bundles import bundle_bytes
from tests.bundles import lock_of as lock_of_images
from tests.bundles import memory_of as filled
from tests.bundling.stores import Breaking, Counting, memory_of, requests_of
from tests.signing.keys import allow, new_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.images import Images

ANN = "ann@example.com"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("keys")
    allow(folder / "allowed", {ANN: new_key(folder, "ann")})
    new_key(folder, "mallory")
    return folder


@pytest.fixture
def policy(keys: Path) -> Policy:
    return Policy(keys / "allowed")


def make(images: Images, path: Path, key: Path | None, **options: object) -> Path:
    chosen = BundleOptions(sign_key=str(key) if key is not None else "", **options)  # type: ignore[arg-type]
    requests = requests_of(memory_of(images), images.names)
    bundle_to_file(requests, path, DOCKER_PLATFORM, chosen, ignore)
    return path


@pytest.fixture
def site(fixture_images: Images, tmp_path: Path, keys: Path) -> Path:
    return make(fixture_images, tmp_path / "site.tar", keys / "ann")


def archive(path: Path) -> Archive:
    found = open_archive(path)
    assert isinstance(found, Archive)
    return found


def refused(policy: Policy, path: Path) -> str:
    with pytest.raises(NotSigned) as caught:
        policy.check(open_archive(path), path)
    assert caught.value.exit_code == 4
    return caught.value.message


# --- let in -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["site.tar", "site.tar.zst"])
def test_a_bundle_that_ann_signed_is_let_in(
    fixture_images: Images, tmp_path: Path, keys: Path, policy: Policy, name: str
) -> None:
    path = make(fixture_images, tmp_path / name, keys / "ann")
    signed = policy.check(open_archive(path), path)
    assert signed is not None
    assert signed.signer.principal == ANN
    assert signed.renamed == ()
    assert signed.lock == Lock.parse(lock_of(path).read_bytes()).descriptor().digest


def test_without_a_policy_everything_is_let_in(site: Path) -> None:
    signature_of(site).unlink()
    assert Policy().check(open_archive(site), site) is None
    assert Policy().check(filled_memory(), None) is None


def filled_memory() -> Selected:
    return Selected(Memory(), ())


def test_a_chosen_image_is_judged_by_its_bundle(site: Path, policy: Policy) -> None:
    whole = open_archive(site)
    assert policy.check(Selected(whole, whole.bundle().roots[:1]), site) is not None


def test_a_layout_folder_is_a_bundle_too(
    fixture_images: Images, tmp_path: Path, keys: Path, policy: Policy
) -> None:
    folder = tmp_path / "layout"
    requests = requests_of(memory_of(fixture_images), fixture_images.names)
    options = BundleOptions(sign_key=str(keys / "ann"))
    bundle_to_store(requests, Layout(folder, create=True), DOCKER_PLATFORM, options, ignore)
    assert policy.check(Layout(folder), folder) is not None


def test_each_volume_is_signed(
    fixture_images: Images, tmp_path: Path, keys: Path, policy: Policy
) -> None:
    requests = requests_of(memory_of(fixture_images), fixture_images.names)
    options = BundleOptions(sign_key=str(keys / "ann"))
    made = bundle_to_volumes(
        requests, tmp_path / "v.tar", 100_000, DOCKER_PLATFORM, options, ignore
    )
    assert len(made) > 1
    for path, *_ in made:
        assert policy.check(open_archive(path), path) is not None


def test_a_signature_may_stand_elsewhere(
    site: Path, tmp_path: Path, policy: Policy, keys: Path
) -> None:
    elsewhere = tmp_path / "by-mail.sig"
    signature_of(site).rename(elsewhere)
    assert "it is not signed: there is no site.tar.lock.json.sig" in refused(policy, site)
    given = replace(policy, signatures=(elsewhere,))
    assert given.check(open_archive(site), site) is not None
    signature_of(site).write_bytes(
        sign(lock_of(site).read_bytes(), str(keys / "mallory"), "imgsync")
    )
    assert given.check(open_archive(site), site) is not None
    with pytest.raises(NotFound):
        replace(policy, signatures=(tmp_path / "none",)).check(open_archive(site), site)


# --- not let in -------------------------------------------------------------------------------


def test_what_mallory_signed_is_not(
    fixture_images: Images, tmp_path: Path, keys: Path, policy: Policy
) -> None:
    path = make(fixture_images, tmp_path / "site.tar", keys / "mallory")
    assert "does not list" in refused(policy, path)


def test_another_bundle_with_this_signature_is_not(
    site: Path, fixture_images: Images, tmp_path: Path, policy: Policy
) -> None:
    other = make(fixture_images, tmp_path / "other.tar", None, strict_tags=True)
    memory = filled(fixture_images, list(fixture_images.names)[:2])
    other.write_bytes(bundle_bytes(memory, lock_of_images(memory)))
    shutil.copy(signature_of(site), signature_of(other))
    shutil.copy(lock_of(site), lock_of(other))
    assert "incorrect signature" in refused(policy, other)


def test_what_is_no_bundle_is_not(fixture_images: Images, tmp_path: Path, policy: Policy) -> None:
    path = tmp_path / "foreign.tar"
    fixture_images.write_archive(path)
    assert "no bundle of imgsync" in refused(policy, path)
    with pytest.raises(NotSigned, match="no bundle of imgsync"):
        policy.check(filled_memory(), None)


def renamed(site: Path, change: Callable[[list[Root]], list[Root]]) -> None:
    """The bundle with another ``index.json``, and everything that follows from it."""
    holding = archive(site)
    lock = holding.lock()
    assert lock is not None
    roots = change(list(holding.index().roots))
    layout = tar_layout(lock, roots)
    tail = next(member for member in layout.members if member.name == "manifest.json")
    data = bytearray(site.read_bytes()[: tail.offset])
    for member in layout.members:
        if member.offset >= tail.offset:
            assert member.data is not None
            data += member.header + member.data + bytes(-member.size % 512)
    site.write_bytes(bytes(data) + bytes(1024))


def _swapped(roots: list[Root]) -> list[Root]:
    one, two, *rest = roots
    assert one.name is not None
    assert two.name is not None
    return [one.named(two.name), two.named(one.name), *rest]


def _less(roots: list[Root]) -> list[Root]:
    return roots[1:]


def _one_more(roots: list[Root]) -> list[Root]:
    child = next(root for root in roots if root.name is None)
    return [*roots, Root(Reference.parse("registry.example/new:1"), child.descriptor)]


def test_names_that_were_swapped_are_told_and_refused(site: Path, policy: Policy) -> None:
    renamed(site, _swapped)
    assert verify(open_archive(site)).is_ok
    message = refused(policy, site)
    assert "names were changed after it was signed" in message
    one, two = (root.label for root in archive(site).index().roots[:2])
    assert f"{one} -> {two}" in message or f"{two} -> {one}" in message


@pytest.mark.parametrize("change", [_less, _one_more])
def test_images_that_were_left_out_or_added_are_refused(
    site: Path, policy: Policy, change: Callable[[list[Root]], list[Root]]
) -> None:
    renamed(site, change)
    assert "it was altered" in refused(replace(policy, accepts_renamed=True), site)


def test_an_index_that_says_other_things_of_a_root_is_refused(site: Path, policy: Policy) -> None:
    holding = archive(site)
    entry = holding.tar.index.entries["index.json"]
    data = site.read_bytes()
    raw = data[entry.data_offset : entry.data_offset + entry.size]
    value = json.loads(raw)
    value["manifests"][0]["size"] -= 1
    changed = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    assert len(changed) == len(raw)
    site.write_bytes(data.replace(raw, changed))
    assert "it was altered" in refused(policy, site)


# --- renamed on purpose -----------------------------------------------------------------------


def test_retag_keeps_the_signature_and_new_names_are_accepted_on_purpose(
    site: Path, tmp_path: Path, policy: Policy
) -> None:
    out = tmp_path / "moved.tar"
    holding = archive(site)
    roots = holding.bundle().roots
    renaming = plan_renaming(roots, roots, Mapping.parse("harbor.example.com/tmp"))
    rename_bundle(holding, site, renaming, out)
    assert signature_of(out).read_bytes() == signature_of(site).read_bytes()
    assert "harbor.example.com/tmp" in refused(policy, out)
    signed = replace(policy, accepts_renamed=True).check(open_archive(out), out)
    assert signed is not None
    assert any(" -> harbor.example.com/tmp/" in line for line in signed.renamed)


# --- when it is made --------------------------------------------------------------------------


def test_a_key_that_cannot_sign_is_told_before_anything_is_fetched(
    fixture_images: Images, tmp_path: Path
) -> None:
    source = Counting(memory_of(fixture_images))
    options = BundleOptions(sign_key=str(new_key(tmp_path, "locked", passphrase="a phrase")))
    requests = requests_of(source, fixture_images.names)
    with pytest.raises(AccessDenied):
        bundle_to_file(requests, tmp_path / "site.tar", DOCKER_PLATFORM, options, ignore)
    fetched = [fixture_images.blobs[str(key)] for key in source.opened]
    assert all(data.lstrip()[:1] == b"{" for data in fetched)


def test_an_unchanged_bundle_is_not_signed_again(
    site: Path, fixture_images: Images, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = signature_of(site).stat()
    with monkeypatch.context() as patch:
        patch.setattr(locks, "sign", None)
        make(fixture_images, site, keys / "ann")
    assert signature_of(site).stat().st_mtime_ns == before.st_mtime_ns
    old = signature_of(site).read_bytes()
    make(fixture_images, site, keys / "mallory")
    assert signature_of(site).read_bytes() != old


def test_a_bundle_that_changes_loses_the_signature_of_the_old_one(
    site: Path, fixture_images: Images, policy: Policy
) -> None:
    source = memory_of(fixture_images)
    requests = requests_of(source, list(fixture_images.names)[:3])
    bundle_to_file(requests, site, DOCKER_PLATFORM, BundleOptions(), ignore)
    assert not signature_of(site).exists()
    assert "it is not signed" in refused(policy, site)


def test_an_unchanged_bundle_keeps_its_signature_without_a_key(
    site: Path, fixture_images: Images, policy: Policy
) -> None:
    make(fixture_images, site, None)
    assert policy.check(open_archive(site), site) is not None


def test_a_run_that_stops_leaves_no_signature(
    fixture_images: Images, tmp_path: Path, keys: Path
) -> None:
    source = Breaking(memory_of(fixture_images), lambda item: "tar" in item.media_type)
    options = BundleOptions(sign_key=str(keys / "ann"))
    path = tmp_path / "site.tar"
    with pytest.raises(AllFailed, match="could not be fetched whole"):
        bundle_to_file(
            requests_of(source, fixture_images.names), path, DOCKER_PLATFORM, options, ignore
        )
    assert not signature_of(path).exists()

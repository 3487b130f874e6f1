"""Puts images into a registry without imgsync, so that no test trusts it for its inputs.

uploaded = upload(registry.url, images)                       # every name
uploaded = upload(registry.url, images, [name], prefix="t1/") # one, in a repository of ours
uploaded[name]                                                # "127.0.0.1:PORT/t1/team/app:1.0"
"""

import json
from collections.abc import Iterable
from contextlib import closing
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urljoin

import requests

from tests.images import INDEX_TYPES, MANIFEST_TYPES, OCI_INDEX, Descriptor, Images

_TIMEOUT_S = 30


class UploadRefused(Exception):
    """The registry answered something else than that it has the thing now."""


def upload(
    url: str,
    images: Images,
    names: Iterable[str] | None = None,
    *,
    prefix: str = "",
    auth: tuple[str, str] | None = None,
    referrers: bool = True,
    ca: str | None = None,
) -> dict[str, str]:
    """The named images are in the registry, under their own repositories behind `prefix`.

    Args:
        url: of the registry, `http://HOST:PORT`.
        images: where the content is.
        names: which; everything, also what has no name, when None.
        prefix: goes before each repository, with its slash.
        auth: Basic credentials.
        referrers: also writes the tag by which referrers are found where the registry has
            no API for them.
        ca: the file with the authority to trust.

    Returns:
        For each name what it is called at the registry, host first.
    """
    chosen = [*images.names] if names is None else [*names]
    with closing(_Uploader(url, images, auth, ca)) as uploader:
        for name in chosen:
            uploader.push(_repository(name, prefix), images.names[name], _tag(name))
        if names is None:
            for descriptor, repositories in images.unnamed:
                for repository in repositories:
                    where = _repository(f"{repository}:", prefix)
                    uploader.push(where, descriptor, None)
                    if referrers:
                        uploader.refer(where, descriptor)
    host = url.split("://")[1]
    return {name: f"{host}/{_repository(name, prefix)}:{_tag(name)}" for name in chosen}


class _Uploader:
    def __init__(
        self, url: str, images: Images, auth: tuple[str, str] | None, ca: str | None
    ) -> None:
        self._url = url
        self._images = images
        self._session = requests.Session()
        self._session.trust_env = False
        # Harbor takes whoever sends its cookie back for a browser.
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        self._session.auth = auth
        self._session.verify = ca or True
        self._done: set[tuple[str, str]] = set()

    def close(self) -> None:
        self._session.close()

    def push(self, repository: str, root: Descriptor, tag: str | None) -> None:
        for part in self._images.closure(root):
            if (repository, part["digest"]) in self._done:
                continue
            self._done.add((repository, part["digest"]))
            if part["mediaType"] in MANIFEST_TYPES | INDEX_TYPES:
                self._manifest(repository, part, part["digest"])
            else:
                self._blob(repository, part["digest"])
        if tag is not None:
            self._manifest(repository, root, tag)

    def refer(self, repository: str, descriptor: Descriptor) -> None:
        """The referrers tag of the subject lists the descriptor, beside what it listed."""
        subject = self._images.json(descriptor["digest"])["subject"]["digest"]
        tag = subject.replace(":", "-")
        address = f"{self._url}/v2/{repository}/manifests/{tag}"
        answer = self._session.get(address, headers={"Accept": OCI_INDEX}, timeout=_TIMEOUT_S)
        listed = answer.json()["manifests"] if answer.status_code == 200 else []
        index = {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [
                *(entry for entry in listed if entry["digest"] != descriptor["digest"]),
                descriptor,
            ],
        }
        self._put_manifest(repository, json.dumps(index).encode(), OCI_INDEX, tag)

    def _blob(self, repository: str, digest: str) -> None:
        begun = self._request("POST", f"{self._url}/v2/{repository}/blobs/uploads/", 202)
        address = urljoin(self._url, begun.headers["Location"])
        address += f"{'&' if '?' in address else '?'}digest={digest}"
        self._request("PUT", address, 201, data=self._images.blobs[digest])

    def _manifest(self, repository: str, descriptor: Descriptor, reference: str) -> None:
        data = self._images.blobs[descriptor["digest"]]
        self._put_manifest(repository, data, descriptor["mediaType"], reference)

    def _put_manifest(self, repository: str, data: bytes, media_type: str, reference: str) -> None:
        address = f"{self._url}/v2/{repository}/manifests/{reference}"
        self._request("PUT", address, 201, data=data, headers={"Content-Type": media_type})

    def _request(self, method: str, address: str, expected: int, **given: Any) -> requests.Response:
        answer = self._session.request(
            method, address, timeout=_TIMEOUT_S, allow_redirects=False, **given
        )
        if answer.status_code != expected:
            raise UploadRefused(f"{method} {address}: {answer.status_code} {answer.text}")
        return answer


def _repository(name: str, prefix: str) -> str:
    """`registry.example/team/app:1.0` -> `PREFIXteam/app`."""
    return prefix + name.split("/", 1)[1].rpartition(":")[0]


def _tag(name: str) -> str:
    return name.rpartition(":")[2]

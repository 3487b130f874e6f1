"""Tiny images, built in memory: the inputs of tests, made without any help from imgsync.

    images = Images()
    base = images.layer({"etc/os-release": b"NAME=tiny"})
    app = images.image([base, images.layer({"app": b"ELF"})], platform="linux/arm64")
    images.name("registry.example/team/app:1.0", images.index([app, images.attestation(app)]))

Documents are written the way their makers write them, with other white space and another
order of keys for each kind, so that a test notices when one is parsed and written again.
Descriptors are plain dicts, as they stand in JSON. Names are full names.
"""

import gzip
import hashlib
import io
import json
import random
import tarfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zstandard

Descriptor = dict[str, Any]

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
COSIGN_PAYLOAD = "application/vnd.dev.cosign.simplesigning.v1+json"
IN_TOTO = "application/vnd.in-toto+json"
INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_LIST})
MANIFEST_TYPES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})

REF_NAME = "org.opencontainers.image.ref.name"
IMAGE_NAME = "io.containerd.image.name"
CREATED = "2024-01-01T00:00:00Z"

Compressor = Callable[[bytes], bytes]


def digest_of(data: bytes) -> str:
    """The sha256 digest, as it stands in a descriptor."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def tar_of(files: Mapping[str, bytes]) -> bytes:
    """The files as an uncompressed layer, the same bytes every time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            member.mode = 0o755
            archive.addfile(member, io.BytesIO(data))
        end = archive.offset + 2 * tarfile.BLOCKSIZE
    return buffer.getvalue()[:end]  # tarfile pads to 10 KiB, which is most of a tiny layer


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, mtime=0)


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


COMPRESSORS: Mapping[str, Compressor] = {"gzip": _gzip, "zstd": _zstd, "none": bytes}


@dataclass(frozen=True)
class Layer:
    """A layer as a manifest and as a config know it."""

    descriptor: Descriptor
    diff_id: str


@dataclass
class Images:
    """A pool of blobs, and the names and roots in it.

    Attributes:
        blobs: every blob, manifests too, by digest.
        names: full names, each with its root's descriptor.
        unnamed: roots without a name (referrers), each with the repositories it is for.
        compressors: how layers are compressed; see `COMPRESSORS`.
    """

    blobs: dict[str, bytes] = field(default_factory=dict)
    names: dict[str, Descriptor] = field(default_factory=dict)
    unnamed: list[tuple[Descriptor, tuple[str, ...]]] = field(default_factory=list)
    compressors: Mapping[str, Compressor] = field(default_factory=lambda: COMPRESSORS)

    # Making.

    def blob(self, media_type: str, data: bytes, **extra: Any) -> Descriptor:
        """The bytes are in the pool; `extra` are further fields of the descriptor."""
        digest = digest_of(data)
        self.blobs[digest] = data
        return {"mediaType": media_type, "digest": digest, "size": len(data), **extra}

    def layer(
        self,
        files: Mapping[str, bytes],
        *,
        compression: str = "gzip",
        docker: bool = False,
        **extra: Any,
    ) -> Layer:
        """A layer of these files: `gzip`, `zstd` or `none`."""
        tar = tar_of(files)
        return self.tar_layer(tar, compression=compression, docker=docker, **extra)

    def tar_layer(
        self, tar: bytes, *, compression: str = "gzip", docker: bool = False, **extra: Any
    ) -> Layer:
        """A layer of these tar bytes."""
        if docker:
            media_type = DOCKER_LAYER + {"gzip": ".gzip", "zstd": ".zstd", "none": ""}[compression]
        else:
            media_type = OCI_LAYER + {"gzip": "+gzip", "zstd": "+zstd", "none": ""}[compression]
        data = self.compressors[compression](tar)
        return Layer(self.blob(media_type, data, **extra), digest_of(tar))

    def image(
        self,
        layers: Sequence[Layer],
        *,
        platform: str = "linux/amd64",
        os_version: str = "",
        docker: bool = False,
        entrypoint: str = "/bin/app",
        **fields: Any,
    ) -> Descriptor:
        """A manifest with a true config; its descriptor carries the platform.

        `fields` are further fields of the manifest: annotations, subject.
        """
        described = _platform(platform, os_version)
        config = {
            **described,
            "created": CREATED,
            "config": {"Entrypoint": [entrypoint], "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in layers]},
            "history": [{"created": CREATED, "created_by": "imgsync fixtures"} for _ in layers],
        }
        config_bytes = _compact(config)
        manifest = {
            "schemaVersion": 2,
            "mediaType": DOCKER_MANIFEST if docker else OCI_MANIFEST,
            "config": self.blob(DOCKER_CONFIG if docker else OCI_CONFIG, config_bytes),
            "layers": [layer.descriptor for layer in layers],
            **fields,
        }
        document = _like_docker(manifest) if docker else _like_buildkit(manifest)
        return self.blob(manifest["mediaType"], document, platform=described)

    def index(
        self, children: Sequence[Descriptor], *, docker: bool = False, **fields: Any
    ) -> Descriptor:
        """An index of these children, in this order; `fields` as with `image`."""
        media_type = DOCKER_LIST if docker else OCI_INDEX
        index = {"schemaVersion": 2, "mediaType": media_type, "manifests": [*children], **fields}
        document = _like_docker(index) if docker else _like_buildkit(index)
        return self.blob(media_type, document)

    def attestation(self, image: Descriptor) -> Descriptor:
        """What buildkit puts beside an image in its index: its provenance."""
        statement = _compact(
            {
                "_type": "https://in-toto.io/Statement/v0.1",
                "predicateType": "https://slsa.dev/provenance/v0.2",
                "subject": [{"name": "app", "digest": {"sha256": image["digest"][7:]}}],
                "predicate": {"buildType": "https://mobyproject.org/buildkit@v1"},
            }
        )
        predicate = {"in-toto.io/predicate-type": "https://slsa.dev/provenance/v0.2"}
        layer = Layer(self.blob(IN_TOTO, statement, annotations=predicate), digest_of(statement))
        attestation = self.image([layer], platform="unknown/unknown")
        attestation["annotations"] = {
            "vnd.docker.reference.digest": image["digest"],
            "vnd.docker.reference.type": "attestation-manifest",
        }
        return attestation

    def artifact(
        self,
        artifact_type: str,
        *parts: bytes,
        media_type: str = "application/octet-stream",
        config: Descriptor | None = None,
        **fields: Any,
    ) -> Descriptor:
        """An OCI artifact: by default with the empty config and an `artifactType`."""
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "artifactType": artifact_type,
            "config": config or self.blob(OCI_EMPTY, b"{}"),
            "layers": [self.blob(media_type, part) for part in parts],
            **fields,
        }
        return self.blob(OCI_MANIFEST, _compact(manifest), artifactType=artifact_type)

    def referrer(
        self, subject: Descriptor, artifact_type: str, data: bytes, *repositories: str
    ) -> Descriptor:
        """An artifact that names its subject, without a name of its own, for repositories."""
        known = {key: subject[key] for key in ("mediaType", "digest", "size")}
        descriptor = self.artifact(artifact_type, data, subject=known)
        self.unnamed.append((descriptor, repositories))
        return descriptor

    def cosign_signature(self, signed: Descriptor, repository: str) -> str:
        """A signature image under cosign's tag in the repository; the full name is returned."""
        payload = _compact(
            {
                "critical": {
                    "identity": {"docker-reference": repository},
                    "image": {"docker-manifest-digest": signed["digest"]},
                    "type": "cosign container image signature",
                },
                "optional": None,
            }
        )
        signature = {"dev.cosignproject.cosign/signature": "bm90IGEgc2lnbmF0dXJl"}
        layer = Layer(self.blob(COSIGN_PAYLOAD, payload, annotations=signature), digest_of(payload))
        image = self.image([layer], platform="/")
        del image["platform"]
        return self.name(f"{repository}:{signed['digest'].replace(':', '-')}.sig", image)

    def name(self, name: str, root: Descriptor) -> str:
        """The full name (registry/repository:tag) means this root."""
        self.names[name] = {key: root[key] for key in ("mediaType", "digest", "size")}
        return name

    # Asking.

    def roots(self) -> list[Descriptor]:
        """Everything that was named or left without a name on purpose."""
        return [*self.names.values(), *(descriptor for descriptor, _ in self.unnamed)]

    def json(self, digest: str) -> dict[str, Any]:
        """A manifest or index, parsed."""
        document: dict[str, Any] = json.loads(self.blobs[digest])
        return document

    def children(self, descriptor: Descriptor) -> list[Descriptor]:
        """What a manifest or index is made of; nothing for a blob, and never a subject."""
        if descriptor["mediaType"] in INDEX_TYPES:
            children: list[Descriptor] = self.json(descriptor["digest"])["manifests"]
            return children
        if descriptor["mediaType"] in MANIFEST_TYPES:
            manifest = self.json(descriptor["digest"])
            return [manifest["config"], *manifest["layers"]]
        return []

    def closure(self, *roots: Descriptor) -> list[Descriptor]:
        """Everything that the roots need, themselves too: each digest once, children first."""
        done: dict[str, Descriptor] = {}

        def visit(descriptor: Descriptor) -> None:
            if descriptor["digest"] in done:
                return
            for child in self.children(descriptor):
                visit(child)
            done[descriptor["digest"]] = descriptor

        for root in roots:
            visit(root)
        return list(done.values())

    def digests(self, *names: str) -> set[str]:
        """The closure of these names; of every root when none is given."""
        roots = [self.names[name] for name in names] if names else self.roots()
        return {descriptor["digest"] for descriptor in self.closure(*roots)}

    # Writing.

    def write_layout(self, folder: Path, names: Iterable[str] | None = None) -> Path:
        """An OCI image layout; of these names, or of everything."""
        chosen = self._chosen(names)
        documents = self._layout_documents(chosen)
        digests = {part["digest"] for part in self.closure(*(entry for entry, _ in chosen))}
        members = {f"blobs/{_path(digest)}": self.blobs[digest] for digest in digests}
        for name, data in (members | documents).items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        return folder

    def write_archive(
        self,
        path: Path,
        names: Iterable[str] | None = None,
        *,
        leave_out: Iterable[str] = (),
        replace: Mapping[str, bytes] | None = None,
    ) -> Path:
        """An OCI layout as a plain tar, index last, with what the test wants wrong in it.

        Args:
            path: the file.
            names: which names; everything when None.
            leave_out: digests whose blobs are not there.
            replace: other bytes for these digests.
        """
        chosen = self._chosen(names)
        left_out = frozenset(leave_out)
        changed = self.blobs | dict(replace or {})
        digests = sorted({part["digest"] for part in self.closure(*(entry for entry, _ in chosen))})
        members = {
            f"blobs/{_path(digest)}": changed[digest]
            for digest in digests
            if digest not in left_out
        }
        path.write_bytes(tar_of(members | self._layout_documents(chosen)))
        return path

    def write_docker_save(self, path: Path, *names: str) -> Path:
        """What `docker save` wrote before version 25: uncompressed layers, no digests.

        Only single images; of an index the first image is taken.
        """
        members: dict[str, bytes] = {}
        entries = []
        for name in names:
            root = self.names[name]
            while root["mediaType"] in INDEX_TYPES:
                root = self.children(root)[0]
            manifest = self.json(root["digest"])
            config = self.blobs[manifest["config"]["digest"]]
            layers = []
            for descriptor in manifest["layers"]:
                tar = decompressed(self.blobs[descriptor["digest"]])
                folder = hashlib.sha256(tar).hexdigest()
                members[f"{folder}/layer.tar"] = tar
                layers.append(f"{folder}/layer.tar")
            config_name = f"{manifest['config']['digest'][7:]}.json"
            members[config_name] = config
            entries.append({"Config": config_name, "RepoTags": [name], "Layers": layers})
        members["manifest.json"] = _compact(entries)
        path.write_bytes(tar_of(members))
        return path

    def _chosen(self, names: Iterable[str] | None) -> list[tuple[Descriptor, str | None]]:
        if names is not None:
            return [(self.names[name], name) for name in names]
        named: list[tuple[Descriptor, str | None]] = [
            (root, name) for name, root in self.names.items()
        ]
        return named + [(descriptor, None) for descriptor, _ in self.unnamed]

    def _layout_documents(self, chosen: list[tuple[Descriptor, str | None]]) -> dict[str, bytes]:
        entries = []
        for root, name in chosen:
            named = {"annotations": {REF_NAME: name}} if name is not None else {}
            entries.append({**root, **named})
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
        return {
            "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
            "index.json": _like_buildkit(index),
        }


def load_layout(folder: Path) -> Images:
    """The images of an OCI layout. What has no name is for the repositories of its subject."""
    images = Images()
    for path in sorted(folder.glob("blobs/*/*")):
        images.blobs[f"{path.parent.name}:{path.name}"] = path.read_bytes()
    unnamed = []
    for entry in json.loads((folder / "index.json").read_bytes())["manifests"]:
        name = entry.get("annotations", {}).get(REF_NAME)
        root = {key: value for key, value in entry.items() if key != "annotations"}
        if name is None:
            unnamed.append(root)
        else:
            images.name(name, root)
    for root in unnamed:
        images.unnamed.append((root, _repositories_of_subject(images, root)))
    return images


def _repositories_of_subject(images: Images, root: Descriptor) -> tuple[str, ...]:
    """Where a referrer belongs: wherever the thing is that it refers to, at any remove."""
    digest = root["digest"]
    while subject := images.json(digest).get("subject"):
        digest = subject["digest"]
    return tuple(
        dict.fromkeys(
            name.rpartition(":")[0]
            for name, named in images.names.items()
            if digest in {part["digest"] for part in images.closure(named)}
        )
    )


def random_images(
    seed: int,
    *,
    n_images: int = 3,
    max_depth: int = 2,
    max_children: int = 3,
    layer_bytes: int = 200,
    n_layers: int = 6,
    registry: str = "registry.example",
) -> Images:
    """Images of random shape that share layers, configs and whole children; seeded.

    Args:
        seed: the same seed gives the same bytes.
        n_images: how many names.
        max_depth: how many indexes one above the other, at most.
        max_children: how many children an index has, at most; it may have none.
        layer_bytes: the size of each layer's one file, which does not compress.
        n_layers: how many different layers there are to choose from.
        registry: the first part of the names.
    """
    rng = random.Random(seed)
    images = Images()
    layers = [
        images.layer(
            {f"file{n}": rng.randbytes(layer_bytes)},
            compression=rng.choice(["gzip", "zstd", "none"]),
        )
        for n in range(n_layers)
    ]
    made: list[Descriptor] = []

    def make(depth: int) -> Descriptor:
        if made and rng.random() < 0.3:
            return rng.choice(made)
        if depth == 0 or rng.random() < 0.3:
            chosen = [rng.choice(layers) for _ in range(rng.randint(0, 4))]
            platform = rng.choice(["linux/amd64", "linux/arm64", "linux/arm/v7"])
            descriptor = images.image(chosen, platform=platform, docker=rng.random() < 0.3)
        else:
            children = [make(depth - 1) for _ in range(rng.randint(0, max_children))]
            descriptor = images.index(children, docker=rng.random() < 0.3)
        made.append(descriptor)
        return descriptor

    for n in range(n_images):
        images.name(f"{registry}/random/image{n}:{seed}", make(max_depth))
    return images


def sized_image(
    n_layers: int,
    layer_bytes: int,
    *,
    platforms: Sequence[str] = ("linux/amd64",),
    seed: int = 0,
    name: str = "registry.example/sized/app:1",
) -> Images:
    """One image of a given size: for each platform its own incompressible layers."""
    rng = random.Random(seed)
    images = Images()
    children = []
    for platform in platforms:
        layers = [
            images.tar_layer(tar_of({"data": rng.randbytes(layer_bytes)}), compression="none")
            for _ in range(n_layers)
        ]
        children.append(images.image(layers, platform=platform))
    images.name(name, children[0] if len(children) == 1 else images.index(children))
    return images


def decompressed(data: bytes) -> bytes:
    """A layer's tar, by what its first bytes say that it is."""
    if data[:2] == b"\x1f\x8b":
        return gzip.decompress(data)
    if data[:4] == b"\x28\xb5\x2f\xfd":
        with zstandard.ZstdDecompressor().stream_reader(data) as reader:
            return reader.read()
    return data


def _platform(text: str, os_version: str) -> dict[str, str]:
    os, architecture, *variant = text.split("/")
    return {
        "architecture": architecture,
        "os": os,
        **({"variant": variant[0]} if variant else {}),
        **({"os.version": os_version} if os_version else {}),
    }


def _path(digest: str) -> str:
    return digest.replace(":", "/")


def _compact(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()


def _like_docker(document: object) -> bytes:
    """Three spaces, as docker has always pushed its manifests."""
    return json.dumps(document, indent=3).encode()


def _like_buildkit(document: object) -> bytes:
    """Two spaces, as buildkit writes manifests and indexes."""
    return json.dumps(document, indent=2).encode()

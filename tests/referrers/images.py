"""An image with everything about it that there is: both ways of finding it, children, recursion."""

from dataclasses import dataclass, field

from tests.images import Descriptor, Images

REPOSITORY = "registry.example/team/app"
APP = f"{REPOSITORY}:1.0"
SBOM = "application/spdx+json"
SIGNATURE = "application/vnd.example.signature"
SCAN = "application/vnd.example.scan"


@dataclass
class Signed:
    """The image, and what is about it.

    Attributes:
        children: the manifests of linux/amd64 and linux/arm64.
        sbom: of the index, and signed itself.
        scans: one of each child.
        signatures: full names, of the index and of the first child, by cosign.
    """

    images: Images
    index: Descriptor
    children: list[Descriptor]
    sbom: Descriptor
    sbom_signature: Descriptor
    scans: list[Descriptor]
    signatures: list[str] = field(default_factory=list)

    @property
    def referrers(self) -> list[Descriptor]:
        """All that have a subject."""
        return [self.sbom, self.sbom_signature, *self.scans]


def signed(tag: str = "1.0", *, seed: str = "") -> Signed:
    """Make one; another seed gives other digests."""
    images = Images()
    children = [
        images.image([images.layer({"app": f"{platform}{seed}".encode()})], platform=platform)
        for platform in ("linux/amd64", "linux/arm64")
    ]
    index = images.index(children)
    images.name(f"{REPOSITORY}:{tag}", index)
    sbom = images.referrer(index, SBOM, b'{"spdxVersion":"SPDX-2.3"}', REPOSITORY)
    sbom_signature = images.referrer(sbom, SIGNATURE, b"signature of the sbom", REPOSITORY)
    scans = [
        images.referrer(child, SCAN, f"scan {number}{seed}".encode(), REPOSITORY)
        for number, child in enumerate(children)
    ]
    signatures = [images.cosign_signature(part, REPOSITORY) for part in (index, children[0])]
    return Signed(images, index, children, sbom, sbom_signature, scans, signatures)


def tag_of(descriptor: Descriptor, suffix: str = "") -> str:
    """The tag that names a digest."""
    return f"{descriptor['digest'].replace(':', '-')}{suffix}"

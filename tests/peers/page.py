"""The page that `make peers` writes."""

from collections.abc import Iterable, Iterator, Sequence

from tests.peers.programs import VERSION_OF, has, version
from tests.peers.signatures import Row, registries

TEXT = """\
# Beside the tools of others

What `make peers` found with {versions}. It runs by hand where these are on PATH; CI has none of \
them but skopeo, and tests what was found here with fixtures.

## Signatures

Each tool signs an index and its platforms at one registry, with keys of its own and without a \
transparency log; imgsync carries them to another registry, and the same tool checks there. \
{registries}

cosign signs as tags (`sha256-….sig`, `.att`), as referrers (OCI 1.1), and as bundles of sigstore, \
which are referrers too. Of oras it is asked whether `oras discover` and `regctl artifact list` \
list what `oras attach` attached.

| carried by | {head} |
|---|{line}|
{rows}

- **good** is the index, a platform, and with cosign an attestation of the index.
- **platform good**: an index that was rewritten has another digest, for which nothing was signed. \
The platforms keep theirs, and their signatures. imgsync names what it leaves behind.

What must be refused, and is:

{refused}

## Files

An index of two platforms, with an SBOM that is signed itself. *all* arrived: the same digests, \
and what is about the image; *image*: the same digests without what is about it; *platform*: one \
platform, under a new digest; *nothing*: it is refused.

| written, read | arrives |
|---|---|
{files}

What others leave behind, they leave by themselves:

- crane reads one image of a tar, as docker sees it, and writes its manifest anew; of a folder \
with several images it pushes all under one index. Its `--format=oci` takes no signatures along.
- regctl finds referrers of a layout only by fallback tags, which a bundle does not have, because \
ctr would take them for images. `imgsync push` or `oras cp -r` brings them, or regctl reads from \
`imgsync serve`. `regctl image export` leaves them out by itself.
- skopeo copies no referrers.
- docker's archives (`crane pull --format=tarball`, `docker-archive:`) have one platform and no \
manifest. imgsync makes one, always the same.
- oras and regctl leave out layers that are not for distribution (Windows); imgsync then says that \
they are absent. `regctl image copy --include-external` takes them.
- imgpkg's tar is a form of its own. `imgpkg copy --tar` puts it into a registry, from where \
imgsync takes it.
"""


def render(
    rows: Sequence[Row],
    refusals: Sequence[tuple[str, str, bool]],
    files: Sequence[tuple[str, str, bool]],
) -> str:
    """What was carried, what was refused, and which files were read."""
    return TEXT.format(
        versions=", ".join(f"{name} {version(name)}" for name in VERSION_OF if has(name)),
        registries=_registries(),
        head=" | ".join(_tools(rows)),
        line="|".join("---" for _ in _tools(rows)),
        rows="\n".join(_table(rows)),
        refused="\n".join(_refused(refusals)),
        files="\n".join(f"| {title} | {arrived} |" for title, arrived, _ in files),
    )


def _refused(refusals: Sequence[tuple[str, str, bool]]) -> Iterator[str]:
    for what in dict.fromkeys(what for what, _, _ in refusals):
        mine = [(tool, is_refused) for other, tool, is_refused in refusals if other == what]
        taken = [tool for tool, is_refused in mine if not is_refused]
        tools = "; ".join(tool for tool, _ in mine)
        yield f"- {what} ({tools})" + (f"; **not refused: {'; '.join(taken)}**" if taken else "")


def _registries() -> str:
    names = list(registries())
    if len(names) == 1:
        return f"Both are {names[0]}, which has no referrers API."
    return (
        f"Every pair of {' and '.join(names)} was tried, with the same outcome: the one has no "
        "referrers API, the other has it."
    )


def _tools(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(row.signer for row in rows))


def _table(rows: Sequence[Row]) -> Iterator[str]:
    """One line a way; what differs between registries is told for each."""
    for way in dict.fromkeys(row.way for row in rows):
        cells = []
        for tool in _tools(rows):
            mine = [row for row in rows if (row.way, row.signer) == (way, tool)]
            said = {
                row.verdict: [other.where for other in mine if other.verdict == row.verdict]
                for row in mine
            }
            cells.append(
                next(iter(said))
                if len(said) == 1
                else "; ".join(f"{verdict} ({', '.join(where)})" for verdict, where in said.items())
            )
        yield f"| {way} | {' | '.join(cells)} |"

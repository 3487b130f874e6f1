"""`make peers`: writes `docs/peers.md`; ends with 1 where something was not as it should be."""

import sys
import tempfile
from pathlib import Path

from tests.peers.files import Exchange
from tests.peers.page import render
from tests.peers.signatures import carried, refused
from tests.servers.registry import Registry

PAGE = Path(__file__).parents[2] / "docs" / "peers.md"


def main() -> int:
    """The page is written; 1 if something was not as it should be."""
    verdicts: list[bool] = []

    def tell(what: object, *, is_right: bool) -> None:
        verdicts.append(is_right)
        print(what, "" if is_right else "WRONG", flush=True)

    rows, refusals, files = [], [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for row in carried(folder):
            tell(row, is_right=row.is_right)
            rows.append(row)
        for refusal in refused(folder):
            tell(f"{refusal[0]}, {refusal[1]}", is_right=refusal[2])
            refusals.append(refusal)
        with Registry() as near, Registry() as far:
            for file in Exchange(near, far, folder).rows():
                tell(f"{file[0]}: {file[1]}", is_right=file[2])
                files.append(file)
    PAGE.write_text(render(rows, refusals, files))
    print(f"{len(verdicts)} tried, {verdicts.count(False)} wrong; {PAGE}")
    return 0 if all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())

"""`make corruptions`: a bundle damaged in many ways; each found by verify, each healed by repair.

The result is kept in ``docs/corruptions.md``. CI runs a fixed sample
(``tests/repairing/test_repair.py``).
"""

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from imgsync.bundling.bundle import bundle_to_file
from imgsync.bundling.request import BundleOptions
from imgsync.errors import ImgsyncError
from imgsync.events import ignore
from imgsync.model.platform import Platform
from imgsync.model.reference import Reference
from imgsync.repairing.damaged import DamagedBundle
from imgsync.repairing.repair import repair
from imgsync.stores.archive.opening import open_archive
from imgsync.stores.registry.options import ConnectionOptions
from imgsync.stores.registry.registries import Registries
from imgsync.verify import verify
from tests.bundling.stores import requests_of
from tests.images import random_images
from tests.repairing.corruptions import CORRUPTIONS
from tests.servers.registry import Registry
from tests.upload import upload


def is_found(path: Path) -> bool:
    """Whether verify refuses the file."""
    try:
        return not verify(open_archive(path)).is_ok
    except ImgsyncError:
        return True


def main() -> int:
    """Damage, verify, heal from a registry, compare; as often as was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", type=int, default=1000)
    wanted = parser.parse_args().n
    tally: Counter[str] = Counter()
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as name, Registry() as registry:
        folder = Path(name)
        images = random_images(7, n_images=6, layer_bytes=20_000)
        names = list(upload(registry.url, images, images.names).values())
        whole, site = folder / "whole.tar", folder / "site.tar"
        with Registries(ConnectionOptions()) as registries:
            requests = [
                request
                for text in names
                for request in requests_of(registries.repository(Reference.parse(text)), [text])
            ]
            options = BundleOptions()
            bundle_to_file(requests, whole, Platform("linux", "amd64"), options, ignore)
            right = whole.read_bytes()
            shutil.copy(f"{whole}.lock.json", f"{site}.lock.json")
            for seed in range(wanted):
                corrupt = CORRUPTIONS[seed % len(CORRUPTIONS)]
                data = bytearray(right)
                corrupt(data, random.Random(seed))
                if bytes(data) == right:
                    tally["changed nothing"] += 1
                    continue
                site.write_bytes(data)
                tally[f"{corrupt.__name__}: made"] += 1
                tally[f"{corrupt.__name__}: found"] += is_found(site)
                with DamagedBundle(site) as bundle:
                    repair(bundle, [], registries.repository, ignore)
                tally[f"{corrupt.__name__}: healed"] += site.read_bytes() == right
    print("| damage | made | found by verify | healed by repair |\n|---|---|---|---|")
    bad = 0
    for corrupt in CORRUPTIONS:
        figures = [tally[f"{corrupt.__name__}: {what}"] for what in ("made", "found", "healed")]
        bad += len(set(figures)) > 1
        print(f"| {corrupt.__name__.replace('_', ' ')} | {' | '.join(map(str, figures))} |")
    print(f"\n{wanted} corruptions of a bundle of {len(right)} bytes, healed from a registry,")
    print(f"in {time.monotonic() - begun:.0f} s; {tally['changed nothing']} changed nothing.")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())

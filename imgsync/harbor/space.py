"""Whether a project has room for what a push really adds to it.

Harbor counts each digest once for a project, manifests too, and does not tell which ones a project
has. What the push goes to is asked anyway; other repositories of the project only where the room
seems too small, so that no image is refused whose layers are there already.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from imgsync.errors import ImgsyncError
from imgsync.events import Noted
from imgsync.harbor.preflight import ProjectState, full_error, room_for
from imgsync.model.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imgsync.events import Report
    from imgsync.harbor.api import HarborApi
    from imgsync.model.descriptor import Descriptor
    from imgsync.pushing.outcome import Pushed
    from imgsync.pushing.targets import Targets
    from imgsync.stores.registry.repository import Repository
    from imgsync.walk import Graph

MOST_LOOKS: Final = 400
"""So many HEADs are spent on other repositories of a project."""

RepositoryOf = Callable[[str, str], "Repository"]


class Space:
    """The room in one project, for one plan."""

    def __init__(
        self, api: HarborApi, state: ProjectState, repository_of: RepositoryOf, report: Report
    ) -> None:
        """Ask nothing yet; what is found out is noted in ``state``."""
        self._api = api
        self._state = state
        self._repository_of = repository_of
        self._report = report
        self._known: set[Digest] = set()
        self._lacking: dict[Digest, Descriptor] = {}

    def check(self, images: Sequence[Pushed], graph: Graph, targets: Targets) -> None:
        """Fail those of these images for which there is no room."""
        state = self._state
        needs = [self._need(image, graph, targets) for image in images]
        state.n_new_bytes, state.quota = room_for(needs, None, self._known).n_bytes, None
        if not state.n_new_bytes or state.is_new:
            return
        quota = state.quota = self._api.quota(state.name)
        if quota is None or quota.free is None or state.n_new_bytes <= quota.free:
            return
        is_sure = self._look_elsewhere({image.item.target.repository for image in images})
        room = room_for(needs, quota.free, self._known)
        state.n_new_bytes = room_for(needs, None, self._known).n_bytes
        if room.refused and not is_sure:
            text = f"{state.title} may be too full for all of this; what does not fit will be told"
            self._report(Noted(text, "warning"))
            return
        for number, n_bytes in room.refused.items():
            images[number].fail(full_error(state.title, n_bytes, quota, room.n_bytes))

    def _need(self, image: Pushed, graph: Graph, targets: Targets) -> Mapping[Digest, int]:
        """What an image adds to its repository; what that has is noted as known."""
        lacks = targets.missing[targets.place_of(image.item.target)]
        need = {}
        for item in graph.closure([image.root.descriptor]):
            if item.digest in lacks:
                need[item.digest] = item.size
                self._lacking[item.digest] = item
            else:
                self._known.add(item.digest)
        return need

    def _look_elsewhere(self, ours: set[str]) -> bool:
        """Find what other repositories of the project have; says whether that is all of it."""
        blobs = [
            item
            for digest, item in self._lacking.items()
            if digest not in self._known and not item.is_document
        ]
        blobs.sort(key=lambda item: -item.size)
        try:
            names = [name for name in self._api.repositories(self._state.name) if name not in ours]
            is_sure = len(blobs) * len(names) <= MOST_LOOKS
            n_left = MOST_LOOKS
            for name in names:
                looked_at = [item for item in blobs if item.digest not in self._known][:n_left]
                if not looked_at:
                    break
                n_left -= len(looked_at)
                missing = self._repository_of(self._state.host, name).missing(looked_at)
                self._known |= {item.digest for item in looked_at} - missing
        except ImgsyncError:
            return False
        return is_sure

"""HarborGate: asks every Harbor that a push goes to, before it moves anything.

Each host is recognised by one question a run; one that is no Harbor is asked nothing more. Of a
Harbor, what does not change is asked once a run (system, projects, rights, rules), quotas once a
plan, and only where something will be added. A project that is to be created is not asked about
its content: it has none.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Protocol

from imgsync.errors import ImgsyncError, RateLimited
from imgsync.events import Noted
from imgsync.harbor.detect import find_harbor
from imgsync.harbor.facts import SystemInfo
from imgsync.harbor.grants import read_grants
from imgsync.harbor.immutable import Rule, covering
from imgsync.harbor.preflight import (
    HarborOptions,
    ProjectState,
    digest_error,
    immutable_error,
    without_project,
)
from imgsync.harbor.space import Space
from imgsync.model.reference import Reference
from imgsync.stores.registry.scope import push_scope

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from imgsync.events import Report
    from imgsync.harbor.api import HarborApi
    from imgsync.pushing.outcome import Pushed
    from imgsync.pushing.targets import Targets
    from imgsync.stores.registry.client import Host
    from imgsync.stores.registry.repository import Repository
    from imgsync.walk import Graph

_ALGORITHM: Final = "sha256"
"""What the registry within Harbor (distribution) names manifests by; it refuses all others."""
Key = tuple[str, str]
"""A host's name and a project's."""


class AllHosts(Protocol):
    """Where hosts and repositories come from."""

    def host(self, name: str) -> Host:
        """The registry of this name."""
        ...

    def repository(self, reference: Reference) -> Repository:
        """The repository of a name; the same object each time."""
        ...


class HarborGate:
    """The Harbors of one run; a `imgsync.pushing.gate.Gate`.

    Attributes:
        projects: those that images go to, with what is known of them.
    """

    def __init__(
        self,
        registries: AllHosts,
        options: HarborOptions,
        report: Report,
        *,
        jobs: int = 4,
    ) -> None:
        """Ask nothing yet."""
        self.projects: dict[Key, ProjectState] = {}
        self._registries = registries
        self._options = options
        self._report = report
        self._jobs = jobs
        self._lock = threading.Lock()
        self._asked: set[str] = set()
        self._harbors: dict[str, tuple[HarborApi, SystemInfo]] = {}
        self._rules: dict[Key, list[Rule] | None] = {}

    # Before anything is asked of the repositories.

    def refused(self, targets: Collection[Reference]) -> Mapping[str, ImgsyncError]:
        """The repositories that will take nothing, by name."""
        names = {target.name: target for target in targets}
        with ThreadPoolExecutor(self._jobs, "harbor") as pool:
            hosts = {target.registry for target in names.values()}
            list(pool.map(self._find, sorted(hosts)))
            first: dict[Key, Reference] = {}
            for target in names.values():
                if target.registry in self._harbors and "/" in target.repository:
                    first.setdefault(_key(target), target)
            new = [target for key, target in first.items() if key not in self.projects]
            list(pool.map(self._look, new))
        return {
            name: error
            for name, target in names.items()
            if (error := self._verdict(target)) is not None
        }

    def _find(self, name: str) -> None:
        if name in self._asked:
            return
        self._asked.add(name)
        api = find_harbor(self._registries.host(name))
        if api is not None:
            self._harbors[name] = api, api.system_info() or SystemInfo()

    def _look(self, target: Reference) -> None:
        """Ask what there is to know of a project; ``target`` is one of its repositories."""
        api, info = self._harbors[target.registry]
        name = _key(target)[1]
        state = ProjectState(target.registry, name, info)
        state.credential = api.host.auth.credential_of(target.repository)
        if state.credential is not None and not info.read_only:
            state.project = api.project(name) if info.knows_us else None
            state.exists = state.project is not None or api.project_exists(name)
            if state.exists is False and self._options.create_project:
                if info.creation_restriction == "adminonly":
                    state.is_administrator = api.is_administrator()
                state.is_new = state.verdict(self._options) is None
            elif state.exists is not False:
                self._ask_rights(api.host, target, state)
        with self._lock:
            self.projects[_key(target)] = state

    def _ask_rights(self, host: Host, target: Reference, state: ProjectState) -> None:
        """Read what the token says that the push needs anyway; Harbor's hold for a project."""
        credential = state.credential
        if credential is None or not credential.username:
            return
        try:
            token = host.auth.token((push_scope(target.repository),), credential)
        except ImgsyncError:
            return  # the push will say why
        state.grants = read_grants(token.text)

    def _verdict(self, target: Reference) -> ImgsyncError | None:
        if target.registry not in self._harbors:
            return None
        if "/" not in target.repository:
            return without_project(target)
        state = self.projects[_key(target)]
        if state.is_new:
            self._registries.repository(target).is_new = True
            return None
        return state.verdict(self._options)

    # When it is known what the images are made of.

    def check_digests(self, images: Sequence[Pushed], graph: Graph) -> None:
        """Fail the images with manifests that have another digest than one of sha256."""
        for image in images:
            if image.error is not None or _key(image.item.target) not in self.projects:
                continue
            for item in graph.closure([image.root.descriptor]):
                is_other = item.is_document and item.digest.algorithm != _ALGORITHM
                if is_other and item.digest not in image.expected:
                    image.fail(digest_error(image.item.target, item))
                    break

    # When it is known what tags mean.

    def check_tags(self, images: Sequence[Pushed]) -> None:
        """Fail the images whose tags are immutable; all of them stand with another digest."""
        here = [image for image in images if _key(image.item.target) in self.projects]
        missing = {_key(image.item.target) for image in here} - self._rules.keys()
        with ThreadPoolExecutor(self._jobs, "rules") as pool:
            found = pool.map(lambda key: self._api(key).immutable_rules(key[1]), missing)
            self._rules.update(zip(missing, found, strict=True))
        with ThreadPoolExecutor(self._jobs, "rules") as pool:
            list(pool.map(self._check_tag, here))

    def _check_tag(self, image: Pushed) -> None:
        target, before = image.item.target, image.before
        if before is None:
            return
        key, repository = _key(target), target.repository.partition("/")[2]
        rules, rule = self._rules[key], None
        if rules is not None:
            rule = covering(rules, repository, target.tag)
            is_immutable = rule is not None
        else:
            is_immutable = self._api(key).tag_is_immutable(target) is True
        if is_immutable:
            wanted = image.root.descriptor.digest
            image.fail(immutable_error(target, before.digest, wanted, rule))

    # When it is known what is missing.

    def check_space(self, images: Sequence[Pushed], graph: Graph, targets: Targets) -> None:
        """Fail the images that a project's quota has no room for."""
        by_project: dict[Key, list[Pushed]] = {}
        for image in images:
            if _key(image.item.target) in self.projects:
                by_project.setdefault(_key(image.item.target), []).append(image)

        def check(entry: tuple[Key, list[Pushed]]) -> None:
            key, here = entry
            space = Space(self._api(key), self.projects[key], self._repository_of, self._report)
            space.check(here, graph, targets)

        with ThreadPoolExecutor(self._jobs, "quota") as pool:
            list(pool.map(check, by_project.items()))

    def _repository_of(self, host: str, name: str) -> Repository:
        return self._registries.repository(Reference(host, name, "x"))

    # When nothing can be refused any more.

    def begin(self, targets: Collection[Reference]) -> None:
        """Create the projects that these need. Where that fails, nothing is sent to them."""
        new = {_key(target) for target in targets}
        for key in sorted(new & self.projects.keys()):
            state = self.projects[key]
            if state.is_new:
                self._create(key, state)
        for target in targets:
            if _key(target) in self.projects:
                self._registries.repository(target).is_new = False

    def _create(self, key: Key, state: ProjectState) -> None:
        api, options = self._api(key), self._options
        try:
            api.create_project(
                state.name, public=options.public, storage_limit=options.storage_limit
            )
        except RateLimited:
            raise
        except ImgsyncError as error:
            api.host.stops.stop(state.name, error)
            return
        state.is_new, state.exists = False, True
        # Harbor refuses tokens that are older than the project.
        api.host.auth.forget_tokens()
        kind = "public" if options.public else "private"
        self._report(Noted(f"created the {kind} project {state.title}"))
        if options.storage_limit is not None:
            self._check_limit(api, state, options.storage_limit)

    def _check_limit(self, api: HarborApi, state: ProjectState, limit: int) -> None:
        """Harbor takes a limit from administrators only, and says nothing to others."""
        state.quota = api.quota(state.name)
        if state.quota is not None and state.quota.limit != limit:
            text = f"{state.title}: only an administrator may set --storage-limit, so it is not set"
            self._report(Noted(text, "warning"))

    def _api(self, key: Key) -> HarborApi:
        return self._harbors[key[0]][0]


def _key(target: Reference) -> Key:
    return target.registry, target.repository.partition("/")[0]

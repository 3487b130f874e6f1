"""``imgsync push --via ctr``: planned like every push, and moved by ctr itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsync.errors import ImgsyncError, InvalidInput
from imgsync.presence import is_containerd
from imgsync.pushing.outcome import Pushed, PushResult
from imgsync.stores.containerd.pushing import CtrPush, CtrPusher, RegistryAccess
from imgsync.transfer import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imgsync.cli.context import Context
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.digest import Digest
    from imgsync.model.reference import Reference
    from imgsync.model.selection import Selection
    from imgsync.pushing.planned import PushPlan
    from imgsync.pushing.request import PushItem
    from imgsync.stores import Holding


def refuse_for_ctr(
    holdings: Sequence[Holding], selection: Selection, *, rewrite_index: bool
) -> None:
    """Refuse what ctr cannot do.

    Raises:
        InvalidInput: a source is not in containerd, or not all of an image was chosen.
    """
    if not selection.choice.is_all or rewrite_index:
        msg = "ctr pushes all platforms of an image"
        raise InvalidInput(msg, hint="leave --platform and --rewrite-index away, or --via ctr")
    for holding in holdings:
        if not is_containerd(holding):
            msg = f"{holding.side} is not in containerd"
            raise InvalidInput(msg, hint="--via ctr takes containerd:NAME; others go without it")


class ViaCtr:
    """The part of a push that ctr does."""

    def __init__(self, context: Context) -> None:
        """Ask containerd what it has."""
        self._pusher = CtrPusher(
            context.containerd(),
            lambda host: _access(context, host),
            lambda target: _confirmed(context, target),
            context.report,
            context.retries,
        )

    def whole(self, items: Sequence[PushItem]) -> tuple[list[PushItem], list[Pushed]]:
        """The images that are whole in the namespace, and the others, which have failed."""
        whole, failed = [], []
        for item in items:
            try:
                self._pusher.check(_name(item))
            except ImgsyncError as error:
                failed.append(Pushed(item, item.root))
                failed[-1].fail(error)
            else:
                whole.append(item)
        return whole, failed

    def push(self, planned: PushPlan) -> PushResult:
        """Let ctr push what is planned, and the registry confirm it.

        ctr does not say what it sent. What counts as sent is what the registry lacked before.
        """
        moving = [image for image in planned.moving if image.status == "pushed"]
        if planned.gate is not None and moving:
            planned.gate.begin([image.item.target for image in moving])
        done = self._pusher.run([CtrPush(_name(image.item), image.item.target) for image in moving])
        for image, pushed in zip(moving, done, strict=True):
            if pushed.error is not None:
                image.fail(pushed.error)
        return PushResult(planned.pushed, _outcome(planned), planned.not_found_out)


def _outcome(planned: PushPlan) -> Outcome:
    lacked: dict[tuple[int, Digest], int] = {
        (step.destination, step.descriptor.digest): step.descriptor.size
        for step in planned.plan.steps
        if step.mount_from is None
    }
    outcome = Outcome()
    for wanted, image in zip(planned.plan.wanted, planned.moving, strict=True):
        for item in planned.graph.closure([image.root.descriptor]) if image.error is None else ():
            n_bytes = lacked.pop((wanted.destination, item.digest), None)
            if n_bytes is not None:
                outcome.n_sent += 1
                outcome.n_sent_bytes += n_bytes
    return outcome


def _name(item: PushItem) -> Reference:
    name = item.root.name
    if name is None:
        msg = f"{item.label} has no name in containerd"
        raise InvalidInput(msg, hint="push it over HTTP, without --via ctr")
    return name


def _access(context: Context, host: str) -> RegistryAccess:
    access = context.registries().access(host)
    credential, client = access.credential, access.tls.client
    return RegistryAccess(
        str(access.origin),
        ca=access.tls.ca_files,
        client=(client[0], client[1] or client[0]) if client is not None else None,
        skip_verify=not access.tls.verify,
        user=credential.username if credential is not None else "",
        password=credential.password if credential is not None else "",
    )


def _confirmed(context: Context, target: Reference) -> Descriptor | None:
    return context.registries().repository(target).digest_of_tag(target.tag)

"""``imgsync push --via ctr``: out of a namespace, by ctr itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgsync.cli.output import say, say_json
from imgsync.cli.push_output import raise_failures
from imgsync.errors import InvalidInput
from imgsync.presence import is_containerd
from imgsync.stores.containerd.pushing import CtrPush, RegistryAccess, push_through_ctr

if TYPE_CHECKING:
    from collections.abc import Sequence

    from imgsync.cli.context import Context
    from imgsync.model.descriptor import Descriptor
    from imgsync.model.mapping import Mapping
    from imgsync.model.reference import Reference
    from imgsync.model.selection import Selection


def push_via_ctr(
    context: Context,
    sources: Sequence[str],
    mapping: Mapping,
    selection: Selection,
    *,
    as_json: bool,
) -> None:
    """Push images of a namespace through ctr; the registry confirms each tag.

    Raises:
        InvalidInput: a source is not in containerd, or platforms were chosen: ctr pushes all.
        AllFailed, SomeFailed: images that could not be pushed.
    """
    if not selection.choice.is_all:
        msg = "ctr pushes all platforms of an image"
        raise InvalidInput(msg, hint="leave --platform away, or --via ctr")
    pushes: list[CtrPush] = []
    for source in sources:
        holding = context.open_source(source)
        if not is_containerd(holding):
            msg = f"{source} is not in containerd"
            raise InvalidInput(msg, hint="--via ctr takes containerd:NAME; others go without it")
        chosen = selection.chosen(holding.bundle().roots, side=holding.side)
        names = [root.name for root in chosen if root.name is not None]
        pushes += [CtrPush(name, mapping.apply(name)) for name in names]
    context.speak_to(push.target.registry for push in pushes)
    results = push_through_ctr(
        context.containerd(),
        pushes,
        lambda host: _access(context, host),
        lambda target: _confirmed(context, target),
        context.report,
        retries=context.retries,
    )
    if as_json:
        say_json(
            [
                {
                    "image": str(result.push.source),
                    "target": str(result.push.target),
                    "digest": str(result.root.digest) if result.root is not None else None,
                    "error": result.error.message if result.error is not None else None,
                }
                for result in results
            ]
        )
    else:
        for result in results:
            if result.root is not None:
                say(f"{result.push.target} {result.root.digest} pushed")
    failures = [
        (str(result.push.source), result.error) for result in results if result.error is not None
    ]
    raise_failures(failures, len(results))


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

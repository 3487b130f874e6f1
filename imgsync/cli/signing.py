"""Options about signatures and receipts, and what commands do with them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from imgsync.errors import InvalidInput
from imgsync.events import Noted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from imgsync.cli.context import Context
    from imgsync.model.image_source import ImageSource
    from imgsync.receipts.record import Arrival, NodeReached
    from imgsync.receipts.writing import Run
    from imgsync.signing.policy import Policy
    from imgsync.stores import Holding

R = TypeVar("R")

SIGN_KEY_HELP = (
    "Sign {what} with this SSH key, a private one, or a public one that an agent has; ssh-keygen "
    "does it."
)


def signers_option(command: Callable[..., R]) -> Callable[..., R]:
    """``--allowed-signers``, ``--signature`` and ``--accept-renamed``; it gets ``policy``."""

    @wraps(command)
    def with_policy(
        *args: Any,
        allowed_signers: str,
        signatures: Sequence[str],
        accept_renamed: bool,
        **rest: Any,
    ) -> R:
        from imgsync.signing.policy import Policy  # noqa: PLC0415 - not for --help

        policy = Policy(
            Path(allowed_signers) if allowed_signers else None,
            tuple(Path(file) for file in signatures),
            accept_renamed,
        )
        return command(*args, policy=policy, **rest)

    return _add(
        with_policy,
        click.option(
            "--allowed-signers",
            default="",
            metavar="FILE",
            help="Take only bundles that one of these has signed, a file as ssh-keygen(1) has it; "
            "an empty name lets everything in.",
        ),
        click.option(
            "--signature",
            "signatures",
            multiple=True,
            metavar="FILE",
            help="A signature that does not stand beside its bundle; repeatable.",
        ),
        click.option(
            "--accept-renamed",
            is_flag=True,
            help="Take a signed bundle also if its images were renamed later (retag).",
        ),
    )


def sign_key_option(command: Callable[..., R]) -> Callable[..., R]:
    """``--sign-key`` of ``bundle``."""
    text = SIGN_KEY_HELP.format(what="the bundle's lock")
    return click.option("--sign-key", default="", metavar="KEY", help=text)(command)


@dataclass(frozen=True, slots=True)
class ReceiptOptions:
    """Where the receipt of a run goes, if anywhere, and who signs it."""

    file: str = ""
    sign_key: str = ""

    def begin(self, command: str, sources: Iterable[tuple[str, Holding]]) -> Run | None:
        """Before the first write; None if no receipt was asked for."""
        if not self.file:
            return None
        from imgsync.receipts.writing import Run  # noqa: PLC0415 - not for --help

        return Run.begin(command, sources)

    def write(
        self,
        run: Run | None,
        where: Iterable[str],
        images: Callable[[], Sequence[Arrival]],
        sent: tuple[int, int],
        nodes: Sequence[NodeReached] = (),
    ) -> None:
        """When all is done, also if some images failed; ``sent`` are objects and bytes."""
        if run is None:
            return
        from imgsync.receipts.writing import write_receipt  # noqa: PLC0415 - not for --help

        write_receipt(Path(self.file), run.ended(where, images(), *sent, nodes), self.sign_key)


def receipt_options(command: Callable[..., R]) -> Callable[..., R]:
    """``--receipt`` and ``--sign-key``; the command gets ``receipt``."""

    @wraps(command)
    def with_receipt(*args: Any, receipt_file: str, sign_key: str, **rest: Any) -> R:
        context = click.get_current_context()
        typed = context.get_parameter_source("sign_key") is ParameterSource.COMMANDLINE
        if sign_key and typed and not receipt_file:
            raise InvalidInput("--sign-key signs a receipt, and there is none", hint="--receipt F")
        if receipt_file and not Path(receipt_file).parent.is_dir():
            raise InvalidInput(f"--receipt {receipt_file}: there is no such folder")
        return command(*args, receipt=ReceiptOptions(receipt_file, sign_key), **rest)

    return _add(
        with_receipt,
        click.option(
            "--receipt",
            "receipt_file",
            default="",
            metavar="FILE",
            help="Write down what is where now, for `imgsync receipt check` at the other side.",
        ),
        click.option(
            "--sign-key",
            default="",
            metavar="KEY",
            help=SIGN_KEY_HELP.format(what="the receipt"),
        ),
    )


def check_signed(context: Context, policy: Policy, holding: Holding, asked: ImageSource) -> None:
    """Let a source in, or not, before anything of it is used.

    Raises:
        NotSigned: see `imgsync.signing.policy`.
    """
    signed = policy.check(holding, Path(asked.path) if asked.transport.is_path else None)
    if signed is not None:
        context.report(Noted(f"{holding.side}: signed by {signed.signer}"))
        for line in signed.renamed[:10]:
            context.report(Noted(f"renamed after it was signed: {line}", "warning"))


def _add(
    command: Callable[..., R], *options: Callable[[Callable[..., R]], Callable[..., R]]
) -> Callable[..., R]:
    for option in reversed(options):
        command = option(command)
    return command

"""Which commands there are, with what ``imgsync --help`` says of each.

Their modules are imported when they are run: a help text must not need requests or tqdm. A test
holds the texts here to those of the commands.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import click


class Entry(NamedTuple):
    """A command: where it is, and its first sentence."""

    module: str
    attribute: str
    help: str

    def load(self) -> click.Command:
        """Import it."""
        command: click.Command = getattr(
            import_module(f"imgsync.cli.{self.module}"), self.attribute
        )
        return command


COMMANDS: Final = {
    "bundle": Entry("bundle", "bundle", "Put images into one file that can be carried."),
    "verify": Entry("verify", "verify", "Prove that content is whole and what it claims to be."),
    "inspect": Entry("inspect", "inspect", "Show what a bundle, registry or namespace holds."),
    "diff": Entry(
        "diff", "diff", "Show what differs between two bundles, registries or namespaces."
    ),
    "repair": Entry(
        "repair", "repair", "Heal a damaged bundle in place; only what is bad is fetched."
    ),
    "report": Entry(
        "report", "report", "Write a page about what a bundle holds, for who must approve it."
    ),
    "retag": Entry("retag", "retag", "Give images other names; their content stays."),
    "push": Entry("push", "push", "Send images to a registry, only what is missing there."),
    "mirror": Entry(
        "mirror", "mirror", "Carry from registries to registries what changed, by a config."
    ),
    "prune": Entry(
        "prune",
        "prune",
        "Take away what a mirror has put there and its config does not want any more.",
    ),
    "import": Entry(
        "import_", "import_", "Load images into containerd, and prove that they are there."
    ),
    "seed": Entry("seed", "seed", "Load images into many nodes over ssh; each gets what it lacks."),
    "check": Entry(
        "check",
        "check",
        "Say which images of a node are whole, run, or are damaged, and what pods see.",
    ),
    "heal": Entry(
        "heal", "heal", "Bring again what a node's images lack, or what rotted on its disk."
    ),
    "rm": Entry("rm", "rm", "Take images off a node; without --yes it only says which."),
    "copy-namespace": Entry(
        "copy_namespace",
        "copy_namespace",
        "Let images of one namespace of containerd be in another, without their data.",
    ),
    "serve": Entry("serve", "serve", "Offer images as a read-only registry."),
    "emit": Entry(
        "emit", "emit", "Write configuration by which pods find images under their new names."
    ),
    "inventory": Entry(
        "inventory", "inventory", "Write down which content a registry, namespace or file has."
    ),
    "harbor": Entry(
        "harbor", "harbor", "Show the room, the rules and the rights in a Harbor's projects."
    ),
    "receipt": Entry(
        "receipt", "receipt", "Prove by a receipt of push, import or seed what arrived."
    ),
    "standalone": Entry(
        "standalone", "standalone", "Make one file of imgsync for hosts without Python."
    ),
    "login": Entry("login", "login", "Keep the credentials of a registry, once they are proved."),
    "logout": Entry("logout", "logout", "Forget the credentials of a registry."),
}
"""In the order of the work."""

ALIASES: Final = {
    "save": "bundle",
    "pull": "bundle",
    "load": "import",
    "ls": "inspect",
    "sync": "mirror",
}
"""What other tools call it."""

ALL_OR_NOTHING: Final = frozenset(
    {
        "check",
        "diff",
        "emit",
        "harbor",
        "inspect",
        "inventory",
        "login",
        "logout",
        "receipt",
        "report",
        "verify",
    }
)
"""Commands that leave nothing behind when they are interrupted, and nothing to go on with."""

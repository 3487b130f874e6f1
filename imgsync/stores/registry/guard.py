"""Addresses that a registry on the internet must not lead us to.

A token realm, a redirect, an upload Location or a Link may name a host of our own network (CVE-
2026-48978 and others). Names hide addresses, so what is looked at is the address that a connection
was made to, before a byte is sent over it. Where the registry is itself on a private address, all
of this is normal: an on-premises Harbor with MinIO on 10.x.
"""

from __future__ import annotations

import ipaddress

from imgsync.errors import NetworkError


class AddressGuard:
    """Compares the classes of addresses, for one registry."""

    def __init__(self, name: str) -> None:
        """``name`` is the registry's, for messages."""
        self._name = name
        self._is_public = False

    def own(self, address: str) -> None:
        """Remember where the registry is."""
        self._is_public = not is_private(address)

    def foreign(self, address: str) -> None:
        """Refuse to be led from a public registry into a private network.

        Raises:
            NetworkError: the address is private, loopback or link-local, the registry's is not.
        """
        if self._is_public and is_private(address):
            msg = f"{self._name} sends us to {address}, an address of a private network"
            raise NetworkError(msg, hint="if that is right, allow its host with --trusted-host")


def is_private(address: str) -> bool:
    """Whether an IP address is not one of the public internet."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return not (mapped or parsed).is_global

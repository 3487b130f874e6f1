"""Harbor's errors: a status, a code, and a message, without `detail`."""

import json
from collections.abc import Mapping


class Refused(Exception):
    """The request is answered with this error."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        envelope = {"errors": [{"code": code, "message": message}]}
        self.body = json.dumps(envelope, separators=(",", ":")).encode() + b"\n"


def bad_request(message: str) -> Refused:
    """400; Harbor puts the kind before the message."""
    return Refused(400, "BAD_REQUEST", f"bad request: {message}")


def invalid(message: str) -> Refused:
    """422: what the API's own description of itself does not allow."""
    return Refused(422, "UNPROCESSABLE_ENTITY", f"validation failure list:\n{message}")


def not_found(message: str) -> Refused:
    """404, whatever was not found: Harbor has no MANIFEST_UNKNOWN and no NAME_UNKNOWN."""
    return Refused(404, "NOT_FOUND", message)


def denied(message: str) -> Refused:
    """403 for quotas, read-only mode and proxy-cache projects; never for missing rights."""
    return Refused(403, "DENIED", message)


def unauthorized(message: str, challenge: str) -> Refused:
    """401, for missing rights too.

    The error wraps another with the same text, so every message comes twice.
    """
    return Refused(
        401,
        "UNAUTHORIZED",
        f"{message}: {message}",
        {"Www-Authenticate": challenge, "Docker-Distribution-Api-Version": "registry/2.0"},
    )

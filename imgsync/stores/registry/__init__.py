"""Registries over HTTP: the distribution-spec, with the quirks of those that are in use.

Nothing is imported here, so that ``imgsync --help`` never pays for TLS and sockets. `registries`
is the way in: ``Registries(ConnectionOptions()).repository(reference)``.

From the outside to the wire: `registries` makes a `repository` (Source and Destination), which
asks its `client` (one host: retries, redirects, `auth`), which uses the `transport`.
"""

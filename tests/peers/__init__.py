"""imgsync beside the tools of others: `make peers`, run by hand, never by CI.

What real cosign, notation, oras, regctl, crane and imgpkg sign, write and read. None of them is a
Debian package; those that are on PATH take part, and the page says which.
"""

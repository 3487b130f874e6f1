"""containerd, through ``ctr``: every word that imgsync says to it is in this folder.

``ctr`` is made for debugging and promises nothing about its interface (containerd, SCOPE.md), and
it proves nothing: it imports corrupt and missing content with status 0. So the truth is read with
``content ls -q`` and ``content get``, and what is said to be there was walked. See `docs/ctr.md`.
"""

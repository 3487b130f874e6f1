"""Mirror: from registries to registries by a config, from cron, and only what changed.

On top of the engine: this package decides which tags are wanted (`config`, `tags`), what is known
from before (`state`, `receipts`), how much a run may do (`limits`), and what it tells (`summary`,
`metrics`). Content is moved by ``imgsync.pushing``.
"""

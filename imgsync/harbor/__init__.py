"""Harbor, beyond the distribution-spec: projects, quotas, rules of tags, robots.

Read from the outside to the inside: `gate` is what a push or a mirror asks before it moves
anything, `status` what ``imgsync harbor status`` shows; both use the `api`, and leave what to
think of its answers to `preflight`, `immutable` and `grants`, which do no I/O.
"""

"""Benchmarks: ratios against peers and against the limit, measured in one run (`make bench`)."""

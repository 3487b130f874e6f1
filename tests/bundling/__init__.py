"""Tests of making bundles, with the memory store as the source."""

"""Tests of healing damaged bundles."""

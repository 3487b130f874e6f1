"""Tests of signatures, and the keys that they are made with."""

"""Tests with the real tools of the field on both sides."""

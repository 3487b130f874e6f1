"""The tar: read by offset and never extracted, written by plan."""

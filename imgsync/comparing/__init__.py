"""Differences between two things that hold images: what each has, and how they differ."""

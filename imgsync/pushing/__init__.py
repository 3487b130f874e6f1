"""Sending images to registries: where each goes, what is there, what has to move."""

"""Healing a damaged bundle in place: what is bad, where right bytes are, and putting them there."""

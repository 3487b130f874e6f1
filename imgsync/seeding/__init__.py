"""Seeding: every node of a fleet gets exactly what it lacks, at the same time, proved."""

"""Receipts: what a push or an import has brought where, to be carried back and checked."""

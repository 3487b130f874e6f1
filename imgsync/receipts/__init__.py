"""Receipts: what a push, an import or a seed has brought where, to be carried back and checked."""

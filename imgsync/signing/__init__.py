"""Signatures of locks and of receipts, by the SSH keys that people have; ssh-keygen makes them."""

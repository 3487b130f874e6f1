"""The parts of `imgsync.verify`: findings, and one module for each kind of check."""

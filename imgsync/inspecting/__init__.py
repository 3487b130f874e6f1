"""The parts of `imgsync.inspect`."""

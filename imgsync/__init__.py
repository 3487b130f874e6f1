"""imgsync carries container images across an air gap, every byte of them proved."""

__version__ = "0.1.0"

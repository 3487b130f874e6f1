"""imgsync as one file, for hosts that have neither Python nor pip nor a network."""

"""The frozen nouns of imgsync. No I/O here and nothing but the standard library."""

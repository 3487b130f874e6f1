"""``python -m imgsync``, for hosts where the console script is not on the path."""

from imgsync.cli import main

if __name__ == "__main__":
    main(prog_name="imgsync")

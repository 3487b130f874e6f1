"""The tests of imgsync, and the real servers they run against."""

"""The truth about the images of a node: looked at, judged, healed, taken away."""

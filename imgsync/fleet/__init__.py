"""Many nodes: which there are, and how their containerd is spoken to through ssh."""

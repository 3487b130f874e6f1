"""Configuration for those who run images: what they ask for by its old name comes from its new."""

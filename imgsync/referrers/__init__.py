"""What is about an image: signatures, attestations, SBOMs; found, chosen, and kept findable."""

"""Recovery data beside a bundle, with which bad sectors heal without anything from elsewhere."""

"""Taking inventories: which content a registry, a namespace, a folder or an archive has."""

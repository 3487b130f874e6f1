"""Any store as a read-only registry: the pull side of the distribution-spec."""

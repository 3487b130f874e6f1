"""A report about what a store holds, for those who must approve its transfer."""

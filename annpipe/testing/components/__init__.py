"""The checks of one component of any kind, and the smallest specs that they use."""

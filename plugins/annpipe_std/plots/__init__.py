"""The figures of the built-in library: one file for each, and `style` for what they have in common."""

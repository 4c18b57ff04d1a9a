"""The text of results, as commands print it."""

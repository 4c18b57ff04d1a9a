"""The batches of a run: the order of rows in memory and on disk."""

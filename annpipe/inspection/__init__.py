"""Looks into a trained network: which columns it uses, how its units work, and where its numbers come from."""

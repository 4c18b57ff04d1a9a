"""Marks, option models, the index and discovery: from a name in a spec to a component."""

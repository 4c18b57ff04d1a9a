"""A plugin that raises on import."""

LAYERS = {"one": 1}
SIZE = LAYERS["two"]

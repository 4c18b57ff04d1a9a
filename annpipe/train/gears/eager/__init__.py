"""The gear of plain PyTorch, one step after another: the reference that every other gear is held against."""

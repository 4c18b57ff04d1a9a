"""The checks of a plan that need torch or the data: construction, outputs, rows, heads, memory."""

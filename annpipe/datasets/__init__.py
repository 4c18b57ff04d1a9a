"""A data component and its split → the rows of a run: made, split, transformed and observed."""

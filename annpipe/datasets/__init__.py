"""The rows of a run, from a `DataRequest`: made, split, transformed, and observed before training."""

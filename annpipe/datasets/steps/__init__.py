"""The steps from a data component to tensors: make the dataset, split it, fit the transforms, and apply them."""

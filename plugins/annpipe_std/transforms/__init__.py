"""Transforms: they change columns before the first layer, are fitted on the train split and kept in the model."""

"""Transforms: what becomes of columns before the first layer, fitted on the train split and kept in the model."""

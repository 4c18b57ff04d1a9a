"""Builds the documentation site: a Sphinx extension, and the pages that are made from the code."""

"""Rows that are larger than memory: split, fitted on and kept in files."""

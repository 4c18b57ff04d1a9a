"""Spec + Registry → Draft: names, options and formulas, all checked without torch."""

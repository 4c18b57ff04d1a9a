"""Formulas of a spec: `x**2 + 3` as an allow-listed expression on tensors."""

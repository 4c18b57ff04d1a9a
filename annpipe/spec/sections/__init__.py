"""Nodes → Spec: the sections, their rules and their components."""

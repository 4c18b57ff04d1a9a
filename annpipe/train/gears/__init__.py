"""Gears: how steps are taken, eager, compiled, or many runs as one."""

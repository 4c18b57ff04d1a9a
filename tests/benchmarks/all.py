"""Every benchmark, one after another, and one table: `python tests/benchmarks/all.py`. Takes about seven minutes."""

from __future__ import annotations

import memory
import startup
import step
import table
import whole
from measure import show

if __name__ == "__main__":
    modules = (step, whole, table, startup, memory)
    show([figure for module in modules for figure in module.measure()])

"""Every benchmark, one after another, and one table: `python tests/benchmarks/all.py`. Takes about twenty minutes."""

from __future__ import annotations

import memory
import stacked_jobs
import startup
import step
import table
import whole
from measure import show

if __name__ == "__main__":
    modules = (step, stacked_jobs, whole, table, startup, memory)
    show([figure for module in modules for figure in module.measure()])

"""Callbacks: components that act at a look, the end of an epoch at which the run's values are known.

`best` follows a metric; `histograms` and `samples` write figures and tables to the run's artifacts; `gradient_norms`
records curves.
"""

from __future__ import annotations

from annpipe_std.callbacks.best import Checkpoint, EarlyStopping

__all__ = ["Checkpoint", "EarlyStopping"]

"""The display of a run in a notebook: one output with a progress bar and the last messages, which is replaced."""

from __future__ import annotations

import html
import math
import sys
import time
from collections import deque
from typing import Any

from annpipe.errors import Problem, one_line
from annpipe.errors.render import render
from annpipe.observer import SILENT, Observer, loss_text, seconds_left

SECONDS_BETWEEN = 0.25
MOST_LINES = 20  # messages that are shown: the last ones


def in_notebook() -> bool:
    """Whether a kernel runs this process, whose outputs a page shows."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


def default_observer() -> Observer:
    """Who is told how a run goes on where the caller says nobody: a notebook shows it, elsewhere it is ignored."""
    return NotebookDisplay() if in_notebook() else SILENT


class NotebookDisplay(Observer):
    """Shows a bar with epoch, loss, rate and time left, and below it messages; four times a second at most."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=MOST_LINES)
        self._total, self._per_epoch, self._begun, self._step = 0, 1, 0, 0
        self._text = ""
        self._begun_at, self._shown_at, self._ends_at = time.monotonic(), -math.inf, math.inf
        self._output: Any = None

    def start(self, total_steps: int, steps_per_epoch: int, done: int) -> None:
        self._total, self._per_epoch, self._begun, self._step = total_steps, steps_per_epoch, done, done
        self._begun_at, self._ends_at = time.monotonic(), math.inf
        self._text = f"epoch {done // steps_per_epoch}/{-(-total_steps // steps_per_epoch)}"
        self._show()

    def limit(self, seconds: float) -> None:
        self._ends_at = time.monotonic() + seconds

    def progress(self, step: int, loss: float) -> None:
        now = time.monotonic()
        rate = (step - self._begun) / max(now - self._begun_at, 1e-9)
        left = seconds_left(self._total - step, rate, self._ends_at - now)
        epoch = f"epoch {step // self._per_epoch}/{-(-self._total // self._per_epoch)}"
        time_left = f"{left:.0f} s left" if left else "done"
        text = f"{epoch}  {loss_text(step, self._per_epoch, loss)}  {rate:.0f} steps/s  {time_left}"
        self._step, self._text = step, text
        if step >= self._total or now - self._shown_at >= SECONDS_BETWEEN:
            self._show()

    def trial(self, result: Any, n_done: int, n_trials: int) -> None:
        self._step, self._total = n_done, n_trials
        self._text = f"trial {n_done}/{n_trials}  {result.status}"
        self._show()

    def event(self, message: str) -> None:
        self._lines.append(one_line(message))
        self._show()

    def warn(self, problem: Problem) -> None:
        self._lines.append(render(problem))
        self._show()

    def _show(self) -> None:
        """Replaces the output; the first time makes it."""
        from IPython.display import display

        self._shown_at = time.monotonic()
        if self._output is None:
            show: Any = display  # typed where IPython is installed, and not elsewhere
            self._output = show(self._data(), raw=True, display_id=True)
        else:
            self._output.update(self._data(), raw=True)

    def _data(self) -> dict[str, str]:
        """The output by MIME type; every message is escaped."""
        bar = f'<progress value="{self._step}" max="{self._total}"></progress> ' if self._total else ""
        lines = "".join(f"<pre>{html.escape(line)}</pre>" for line in self._lines)
        plain = "\n".join([self._text, *self._lines] if self._text else self._lines)
        return {"text/html": f"<div>{bar}{html.escape(self._text)}{lines}</div>", "text/plain": plain}

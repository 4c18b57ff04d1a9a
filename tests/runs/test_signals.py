"""Signals ask a run to stop once; a second Ctrl-C interrupts it."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from annpipe.runs.signals import StopSignal, signals_caught


def test_the_first_signal_is_recorded_and_the_handlers_come_back() -> None:
    """SIGTERM sets the number, and nothing else happens."""
    before = signal.getsignal(signal.SIGTERM)
    stop = StopSignal()
    with signals_caught(stop):
        os.kill(os.getpid(), signal.SIGTERM)
    assert stop.number == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_second_sigint_interrupts() -> None:
    """At once, wherever the run is."""
    with signals_caught(StopSignal(signal.SIGINT)), pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_outside_the_main_thread_nothing_is_caught() -> None:
    """Whoever started the thread has the handlers."""
    handlers = []

    def work() -> None:
        with signals_caught(StopSignal()):
            handlers.append(signal.getsignal(signal.SIGINT))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [before]

"""Hides a password on the command line from the list of processes, which everybody on the machine may read."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress

from annpipe.errors.redact import HIDDEN, has_secret, scrub

VARIABLE = "ANNPIPE_ARGUMENTS"


def hide_secrets() -> None:
    """Starts this program anew where an argument holds a secret: with `***` in its place, and the arguments themselves
    in the environment, which only the user may read.

    The second start takes them out of the environment, so that no process that it starts has them.
    """
    hidden = os.environ.pop(VARIABLE, None)
    if hidden is not None and any(HIDDEN in argument for argument in sys.argv[1:]):
        with suppress(ValueError):
            sys.argv[1:] = [str(argument) for argument in json.loads(hidden)]
        return
    if not any(map(has_secret, sys.argv[1:])) or not sys.executable:
        return
    scrubbed = [scrub(argument) for argument in sys.orig_argv[1:]]
    with suppress(OSError):  # where it cannot be started anew, the command is still what the user wants
        os.execve(sys.executable, [sys.executable, *scrubbed], {**os.environ, VARIABLE: json.dumps(sys.argv[1:])})

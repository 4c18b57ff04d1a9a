"""Fault: the number of bad looks is not in a `state_dict`, so that a resumed run counts anew."""

from annpipe import Look, callback


@callback
class Patient:
    """Ends the run after `looks` looks without a better training loss."""

    def __init__(self, looks: int = 100) -> None:
        self.looks = looks
        self._n_looks = 0  # fault

    def on_look(self, look: Look) -> None:
        self._n_looks += 1
        if self._n_looks > self.looks:
            look.stop("no better loss")

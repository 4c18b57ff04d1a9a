"""The callback: when it acts, and that it goes on after an interruption."""

from annpipe import Look
from annpipe.scaffold.templates.callback import GoodEnough
from annpipe.testing import component_tests

test_promises = component_tests(GoodEnough)

reasons: list[str] = []


def look(epoch: int) -> Look:
    """A look at a run whose loss is 0.1."""
    return Look(epoch, epoch, {"train/loss": 0.1}, reasons.append, reasons.append, reasons.append)


def test_it_stops_after_three_looks_with_a_resume_between() -> None:
    """The state that it saves is all that it needs."""
    first, second = GoodEnough(0.5), GoodEnough(0.5)
    first.on_look(look(1))
    first.on_look(look(2))
    second.load_state_dict(first.state_dict())
    assert not reasons
    second.on_look(look(3))
    assert reasons == ["train/loss was below 0.5 at 3 looks"]

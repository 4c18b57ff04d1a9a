"""The schedule against a list written out step by step."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from annpipe.train.schedule import Schedule


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    """Schedules as `schedule` makes them: no batch is larger than the split."""
    n_rows = draw(st.integers(1, 40))
    return Schedule(
        n_rows=n_rows,
        step_rows=draw(st.integers(1, n_rows)),
        epochs=draw(st.integers(1, 9)),
        drop_last=draw(st.booleans()),
        look_every=draw(st.none() | st.integers(1, 12)),
        steps=draw(st.none() | st.integers(1, 50)),
    )


def written_out(schedule: Schedule) -> list[list[int]]:
    """The rows of each step of each epoch."""
    rows = list(range(schedule.n_rows))
    batches = [rows[begin : begin + schedule.step_rows] for begin in range(0, len(rows), schedule.step_rows)]
    if schedule.drop_last:
        batches = [batch for batch in batches if len(batch) == schedule.step_rows]
    lengths = [len(batch) for batch in batches]
    if schedule.steps is None:
        assert schedule.epochs is not None
        return [lengths] * schedule.epochs
    whole, rest = divmod(schedule.steps, len(lengths))
    return [lengths] * whole + [lengths[:rest]] * (rest > 0)


@given(schedules())
def test_steps_and_rows_are_those_of_the_list(schedule: Schedule) -> None:
    """How many steps an epoch has, how many the run, and how many rows each batch."""
    epochs = written_out(schedule)
    assert schedule.total_steps == sum(len(batches) for batches in epochs)
    if len(epochs) > 1:
        assert schedule.steps_per_epoch == len(epochs[0])
    assert [schedule.rows_at(place) for place in range(min(schedule.steps_per_epoch, len(epochs[0])))] == epochs[0]


@given(schedules())
def test_the_looks_are_at_the_ends_of_every_nth_epoch_and_at_the_end(schedule: Schedule) -> None:
    """From each step the next look is the first one of the list that lies after it."""
    looks, step = [], 0
    epochs = written_out(schedule)
    for epoch, batches in enumerate(epochs, start=1):
        step += len(batches)
        if epoch == len(epochs) or (schedule.look_every is not None and epoch % schedule.look_every == 0):
            looks.append(step)
    for at in range(schedule.total_steps):
        assert schedule.next_look(at) == min(look for look in looks if look > at)

"""The inputs and heads of a draft, once the fields of the data are known."""

from __future__ import annotations

from dataclasses import replace

from annpipe.contract import Fields
from annpipe.datasets.observe import Observed, observe_fields
from annpipe.datasets.on_disk.passes import PassCache
from annpipe.draft.data_only import faults_of_data
from annpipe.draft.inputs_outputs import in_order, input_faults, is_inputs, output_faults, with_column_spans
from annpipe.draft.types import Draft
from annpipe.errors import Problem, SpecError


def arranged(drafted: Draft, fields: Fields) -> Draft:
    """The draft whose inputs know the columns of each stack, and whose heads are in the order of their targets."""
    outputs = in_order(drafted.outputs, fields)
    names = [head.name for head in drafted.outputs]
    model = [with_column_spans(layer, fields) if is_inputs(layer) else layer for layer in drafted.model]
    if outputs:
        order = [names.index(head.name) for head in outputs]
        last = model[-1]
        options = {name: [last.options[name][number] for number in order] for name in ("names", "branches")}
        model[-1] = last.with_options(**options)
        losses = {head.name: head.loss for head in outputs}
        weights = {head.name: head.weight for head in outputs}
        drafted = replace(drafted, loss=drafted.loss.with_options(losses=losses, weights=weights))
    return replace(drafted, model=tuple(model), outputs=outputs)


def observed_inputs(drafted: Draft, passes: PassCache | None) -> Observed:
    """What is known of the data; raises SpecError where the model's inputs and outputs do not fit its fields."""
    with faults_of_data(drafted.spec, drafted.data):
        observed = observe_fields(drafted, passes)
    inputs = observed.fields.inputs
    shaped = [name for name, field in inputs.items() if field.shape]
    if faults := [*input_faults(drafted.spec, observed.fields), *output_faults(drafted.spec, observed.fields)]:
        raise SpecError(faults)
    if shaped and len(inputs) > 1 and not drafted.spec.inputs:
        message = f"the inputs {', '.join(inputs)} cannot be joined: '{shaped[0]}' is not one number a row"
        help_ = "give each a stack of its own, with `model.inputs`; or take one input, or numbers only"
        raise SpecError([Problem("data", message, drafted.data.place, help_)])
    return observed

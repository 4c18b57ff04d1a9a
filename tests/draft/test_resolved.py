"""A spec's components resolved: each in its section, a fused optimizer where torch has one, groups of its options."""

from __future__ import annotations

import pytest

from annpipe.draft.options import Resolving
from annpipe.draft.resolved import resolved, sparse_layers
from annpipe.registry.registry import Registry
from annpipe.spec.sections.spec import read_spec
from annpipe.spec.yaml.reader import read_text

SPEC = {
    "version": "1",
    "name": "small",
    "data": "{table: {inputs: {x: [0, 1]}, targets: {y: [0, 1]}}}",
    "model": "[Linear: 1]",
    "loss": "L1Loss",
    "optimizer": "Adam",
    "train": "{epochs: 1}",
}


WORDS = "{Embedding: {num_embeddings: 3, embedding_dim: 2, sparse: true}}"


def drafted(registry: Registry, **sections: str):  # type: ignore[no-untyped-def]  # the draft and what was noted
    text = "\n".join(f"{name}: {value}" for name, value in {**SPEC, **sections}.items())
    resolving = Resolving(registry.copy())
    return resolved(read_spec(read_text(text, "spec.yaml"), "spec.yaml"), resolving), resolving.problems


@pytest.mark.parametrize(
    ("optimizer", "sections", "fused"),
    [
        ("Adam", {}, True),
        ("{SGD: 0.1}", {}, True),
        ("{Adam: {fused: false}}", {}, False),
        ("{Adam: {foreach: true}}", {}, None),
        ("{Adam: {capturable: true}}", {}, None),
        ("Adam", {"device": "{autocast: float16}"}, None),
        ("Adam", {"device": "{autocast: bfloat16}"}, True),
        (
            "Adam",
            {"model": "[{Embedding: {num_embeddings: 3, embedding_dim: 2, sparse: true}}, Flatten, Linear: 1]"},
            None,
        ),
        ("Rprop", {}, None),
    ],
)
def test_an_optimizer_is_fused_where_it_can_be(
    optimizer: str, sections: dict[str, str], fused: bool | None, registry_entries: Registry
) -> None:
    """Unless the spec asks for another implementation, scales gradients, or has sparse ones."""
    made, problems = drafted(registry_entries, optimizer=optimizer, **sections)
    assert problems == []
    assert made.optimizer.options.get("fused") is fused


def test_a_component_that_cannot_be_resolved_keeps_its_name(registry_entries: Registry) -> None:
    """So that what else is wrong is found in the same go."""
    made, problems = drafted(registry_entries, model="[Liner: 1, ReLU]", loss="L1Los", scheduler="null")
    assert [layer.name for layer in made.model] == ["Liner", "ReLU"]
    assert (made.model[0].options, made.loss.options) == ({}, {})
    assert made.scheduler is None
    assert sorted(problem.code for problem in problems) == ["unknown-component"] * 2


def test_groups_have_options_of_the_optimizer(registry_entries: Registry) -> None:
    """Only those that they say; patterns keep their places."""
    groups = "[{params: ['*.bias', a], weight_decay: 0.5}]"
    made, problems = drafted(registry_entries, optimizer=f"{{SGD: {{lr: 0.1}}, groups: {groups}}}")
    (group,) = made.groups
    assert problems == []
    assert group.patterns == ("*.bias", "a")
    assert group.options.options == {"weight_decay": 0.5}
    _, problems = drafted(registry_entries, optimizer="{SGD: 0.1, groups: [{params: a, wight_decay: 1}]}")
    assert [problem.code for problem in problems] == ["unknown-option"]
    assert drafted(registry_entries, optimizer="{SDG: 0.1, groups: [{params: a, lr: 1}]}")[0].groups == ()


def test_inputs_and_heads_are_layers_at_the_ends(registry_entries: Registry) -> None:
    """And the losses of the heads are one loss."""
    model = "{inputs: {x: {}}, layers: [ReLU], outputs: {y: {layers: [Linear: 1], loss: MSELoss, metrics: [R2Score]}}}"
    made, problems = drafted(registry_entries, model=model, loss="null")
    assert problems == []
    assert [layer.name for layer in made.model] == ["model.inputs", "ReLU", "model.outputs"]
    assert made.loss.options["losses"]["y"].name == "MSELoss"
    assert [metric.name for metric in made.outputs[0].metrics] == ["R2Score"]


def test_layers_with_sparse_gradients_are_found_in_blocks(registry_entries: Registry) -> None:
    """And at every depth."""
    words = "{Embedding: {num_embeddings: 3, embedding_dim: 2, sparse: true}}"
    made, _ = drafted(
        registry_entries, blocks=f"{{words: [{words}]}}", model=f"[words, residual: [{words}], Linear: 1]"
    )
    assert [layer.name for layer in sparse_layers(made)] == ["Embedding", "Embedding"]

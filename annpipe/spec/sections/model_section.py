"""Reads `model` and `blocks`: layers as a list, or in the long form with inputs, outputs, `init` and `freeze`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from annpipe.errors import Problem
from annpipe.errors.suggest import did_you_mean
from annpipe.spec.sections.component import Call, read_call, read_calls
from annpipe.spec.sections.inputs_outputs import HeadCall, InputCall, read_inputs, read_join, read_outputs
from annpipe.spec.sections.section_reader import EXAMPLES, SectionReader, is_given, used_note
from annpipe.spec.yaml.nodes import ListNode, MappingNode, ScalarNode, in_words

MODEL_KEYS = ("inputs", "join", "layers", "outputs", "init", "freeze")
OF_HEADS = {"loss": "losses", "metrics": "metrics"}
BLOCK_NAME = re.compile(r"[a-z_][a-z0-9_]*\Z")


def long_form(root: MappingNode) -> MappingNode | None:
    """`model` where it is no list and no one layer: `{layers: […], init: …}`; with `join` alone it is a layer."""
    node = root.get("model")
    keys = set(MODEL_KEYS) - {"join"}
    return node if isinstance(node, MappingNode) and node.keys and set(node.keys) & keys else None


class ModelReading:
    """Reads what `reading` finds under `model` and `blocks`."""

    def __init__(self, reading: SectionReader) -> None:
        self._reading, self._root, self._problems = reading, reading.root, reading.problems
        self._long = long_form(reading.root)

    def inputs(self) -> tuple[InputCall, ...]:
        """The stacks of several inputs."""
        long = self._long
        stacks, problems = read_inputs(long.get("inputs") if long else None)
        self._problems += problems
        return tuple(stacks)

    def join(self, inputs: Sequence[InputCall]) -> str:
        """How these stacks meet."""
        long = self._long
        join, problems = read_join(long.get("join") if long else None, inputs)
        self._problems += problems
        return join

    def model(self) -> tuple[Call, ...]:
        """The layers: a list, the list in the long form, or the one layer that is the whole model."""
        node = self._root.get("model")
        if long := self._long:
            for key, _ in long.pairs:
                if key.value not in MODEL_KEYS:
                    help_ = did_you_mean(str(key.value), MODEL_KEYS) or f"`model` takes {', '.join(MODEL_KEYS)}"
                    message = f"`model` has no option '{key.value}'"
                    self._problems.append(Problem("unknown-option", message, key.place, help_))
            layers = long.get("layers")
            if not is_given(layers) and (is_given(long.get("inputs")) or is_given(long.get("outputs"))):
                return ()
            if layers is None or not is_given(layers):
                message = "`model.layers` is missing"
                self._problems.append(Problem("missing-option", message, long.place, EXAMPLES["model.layers"]))
                return ()
            return self._reading.calls("model", layers)
        if isinstance(node, MappingNode) and len(node.pairs) == 1 and node.keys[0].isidentifier():
            call = self._reading.taken(read_call(node, "`model`"))
            return (call,) if call.name else ()
        return self._reading.calls("model")

    def outputs(self) -> tuple[HeadCall, ...]:
        """The heads of several outputs, which have losses and metrics of their own."""
        long = self._long
        heads, problems = read_outputs(long.get("outputs") if long else None)
        self._problems += problems
        for name in ("loss", "metrics") if heads else ():
            node, key = self._root.get(name), self._root.key(name)
            if node is None or key is None or not is_given(node) or (isinstance(node, ListNode) and not node.items):
                continue
            first = str(heads[0].name.value)
            message = f"`{name}` stands beside `model.outputs`, whose heads have {OF_HEADS[name]} of their own"
            help_ = f"say it of a head, as in `outputs: {{{first}: {{{name}: …}}}}`, and take it out here"
            self._problems.append(Problem("outputs", message, key.place, help_))
        return tuple(heads)

    def init(self) -> Iterator[tuple[ScalarNode, Call]]:
        """Each pattern of parameters with its initializer."""
        long = self._long
        node = long.get("init") if long else None
        if not is_given(node) or node is None:
            return
        if not isinstance(node, MappingNode):
            message = f"`model.init` must be a mapping from names of parameters to initializers; found {in_words(node)}"
            self._problems.append(Problem("wrong-type", message, node.place, EXAMPLES["model.init"], used_note(node)))
            return
        for key, value in node.pairs:
            yield key, self._reading.taken(read_call(value, f"`model.init.{key.value}`"))

    def freeze(self) -> tuple[ScalarNode, ...]:
        """The patterns of parameters that are not trained."""
        long = self._long
        node = long.get("freeze") if long else None
        if not is_given(node) or node is None:
            return ()
        items = node.items if isinstance(node, ListNode) else (node,)
        words = [item for item in items if isinstance(item, ScalarNode) and _is_name(item.value)]
        wrong = [item for item in items if item not in words] if isinstance(node, ListNode) else [node]
        for item in wrong:
            wanted = "names of parameters" if isinstance(node, ListNode) else "a list of names of parameters"
            verb = "holds" if isinstance(node, ListNode) else "must be"
            message = f"`model.freeze` {verb} {wanted}; found {in_words(item)}"
            self._problems.append(Problem("wrong-type", message, item.place, EXAMPLES["model.freeze"], used_note(item)))
        return tuple(words) if isinstance(node, ListNode) else ()

    def blocks(self) -> Iterator[tuple[ScalarNode, tuple[Call, ...]]]:
        """Each block's name and its layers."""
        node = self._root.get("blocks")
        if not isinstance(node, MappingNode):
            if is_given(node) and node is not None:
                message = f"`blocks` must be a mapping; found {in_words(node)}"
                self._problems.append(Problem("wrong-type", message, node.place, EXAMPLES["blocks"], used_note(node)))
            return
        for key, value in node.pairs:
            name = str(key.value)
            if not BLOCK_NAME.match(name):
                message = f"a block cannot be called '{name}'"
                help_ = "a block's name has small letters, digits and _, as in `my_block`"
                self._problems.append(Problem("block", message, key.place, help_))
                continue
            calls, problems = read_calls(value, f"blocks.{name}")
            self._problems += problems
            if not calls and not problems:
                message = f"the block '{name}' has no layer"
                self._problems.append(Problem("block", message, key.place, EXAMPLES["blocks"]))
            yield key, tuple(calls)


def _is_name(value: object) -> bool:
    """A word, or the number of a layer, with which the names of its parameters begin."""
    return isinstance(value, str | int) and not isinstance(value, bool) and value != ""

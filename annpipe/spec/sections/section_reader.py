"""Base class for reading sections: components, lists of components, options, and the problems found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from annpipe.errors import Problem, Problems
from annpipe.errors.suggest import did_you_mean, nearest
from annpipe.spec.sections.checking import EXAMPLES, S, check, stand_in, used_note
from annpipe.spec.sections.component import KEEP_ONE, Call, read_call, read_calls
from annpipe.spec.yaml.nodes import MappingNode, Node, ScalarNode, in_words


def is_given(node: Node | None) -> bool:
    """Whether something is said, and not nothing."""
    return node is not None and not (isinstance(node, ScalarNode) and node.value is None)


class SectionReader:
    """Collects problems while sections are read; a section at fault is stood in for, and the spec refused."""

    def __init__(self, root: MappingNode) -> None:
        self.root = root
        self.problems = Problems()
        self.meant: set[str] = set()  # sections and options that an unknown section stands for
        self.lost = False  # whether what stands beside the data component could not be read
        self._nothing = Call("", None, root.place)

    def section(self, model: type[S], node: Node | None, name: str = "") -> S:
        if not is_given(node) or not isinstance(node, MappingNode):
            if is_given(node) and node is not None:
                message = f"`{name}` must be a mapping; found {in_words(node)}"
                self.problems.append(Problem("wrong-type", message, node.place, EXAMPLES.get(name), used_note(node)))
            return stand_in(model)
        checked, problems = check(model, node, name, self.meant)
        self.problems += problems
        return checked

    def call(self, name: str) -> Call:
        node = self.root.get(name)
        if not is_given(node) or node is None:
            return self._nothing
        read = read_call(node, f"`{name}`", KEEP_ONE)
        return self.taken(read)

    def calls(self, name: str, node: Node | None = None) -> tuple[Call, ...]:
        node = node or self.root.get(name)
        if node is None:
            return ()
        calls, problems = read_calls(node, name)
        self.problems += problems
        if name == "model" and not calls and not problems and is_given(node):
            self.problems.append(Problem("missing-section", "the model has no layer", node.place, EXAMPLES["model"]))
        return tuple(calls)

    def component_beside(self, name: str, others: Sequence[str]) -> Call:
        """The component of `name`: its one key that is none of `others`, as `data` has `split`."""
        node = self.root.get(name)
        if not isinstance(node, MappingNode):
            return self.call(name)
        pairs = tuple(pair for pair in node.pairs if not self._is_other(pair[0], node, name, others))
        if not pairs:
            if node.pairs or name == "data":
                message = f"`{name}` names no {'data component' if name == 'data' else name}"
                self.problems.append(Problem("not-a-component", message, node.place, EXAMPLES[name]))
                return self._nothing
            return self.call(name)
        return self.taken(read_call(replace(node, pairs=pairs), f"`{name}`", KEEP_ONE))

    def _is_other(self, key: ScalarNode, node: MappingNode, name: str, others: Sequence[str]) -> bool:
        """Whether a key is one of the others, or was meant to be: beside a component nothing else stands."""
        word = str(key.value)
        if word not in others and len(node.pairs) > 1 and nearest(word, others):
            help_ = did_you_mean(word, others)
            self.problems.append(Problem("unknown-option", f"`{name}` has no option '{word}'", key.place, help_))
            self.lost = self.lost or name == "data"
            return True
        return word in others

    def taken(self, read: Call | Problem) -> Call:
        if isinstance(read, Call):
            return read
        self.problems.append(read)
        return self._nothing

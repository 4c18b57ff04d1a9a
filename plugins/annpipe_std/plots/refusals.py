"""Checks that refuse a plot before the run starts, from the run's outline; matplotlib is not imported."""

from __future__ import annotations

from annpipe import Field, OptionError, Outline

FOR_NUMBERS = "draw `residuals` for numbers, or train with a loss of classes, as CrossEntropyLoss"


def without_classes(outline: Outline) -> None:
    """Refuses a run none of whose targets is a class label, or 0 and 1."""
    if not any(_is_class(outline.of(name), name, field) for name, field in outline.fields.targets.items()):
        names = ", ".join(f"'{name}'" for name in outline.fields.targets)
        raise OptionError(
            "", f"it shows classes, and {_losses(outline)} is trained on numbers ({names})", help=FOR_NUMBERS
        )


def without_scores(outline: Outline) -> None:
    """Refuses a run without classes, and one whose loss compares the labels of several classes as numbers."""
    without_classes(outline)
    if not any(_has_score(outline.of(name), name, field) for name, field in outline.fields.targets.items()):
        message = f"it needs a score for each class, and {_losses(outline)} compares the labels as numbers"
        raise OptionError("", message, help="train with a loss of classes, as CrossEntropyLoss")


def without_numbers(outline: Outline) -> None:
    """Refuses a run that gives no single number for any target."""
    fields = outline.fields.targets
    if all(field.shape or outline.of(name).takes_classes for name, field in fields.items()):
        message = f"it shows differences of single numbers, and {_losses(outline)} is not trained on any here"
        raise OptionError("", message, help="draw `confusion_matrix` for classes")


def _losses(outline: Outline) -> str:
    """The loss, or those of all heads."""
    return " or ".join(dict.fromkeys(loss for loss, _ in outline.heads.values())) or outline.loss


def _is_class(outline: Outline, name: str, field: Field) -> bool:
    is_label = field.dtype == "int" and not field.shape
    return bool(field.classes) or is_label or _has_score(outline, name, field)


def _has_score(outline: Outline, name: str, field: Field) -> bool:
    """Whether the model gives scores for the target; where neither loss nor field decides it, the data are loaded."""
    if outline.takes_classes:
        return True
    if len(field.shape) > 1 or (field.classes or 0) > 2:
        return False
    if outline.loss.startswith("BCE") or field.classes or outline.dataset is None:
        return True
    values = outline.dataset().targets[name]
    return bool(((values == 0) | (values == 1)).all())

"""The output ranges of torch's activations and the inputs that its losses expect, so that the two can be compared."""

from __future__ import annotations

PROBABILITIES, LOGARITHMS = "probabilities", "log-probabilities"

GIVES = {
    "Hardsigmoid": PROBABILITIES,
    "LogSigmoid": LOGARITHMS,
    "LogSoftmax": LOGARITHMS,
    "Sigmoid": PROBABILITIES,
    "Softmax": PROBABILITIES,
    "Softmax2d": PROBABILITIES,
    "Softmin": PROBABILITIES,
}
"""What the numbers that a layer gives are, where they are to be read as probabilities."""

EXPECTS = {
    "BCELoss": PROBABILITIES,
    "BCEWithLogitsLoss": "logits",  # the sigmoid is in the loss
    "CrossEntropyLoss": "scores",  # the softmax is in the loss
    "MultiLabelSoftMarginLoss": "logits",
    "NLLLoss": LOGARITHMS,
}
"""What a loss takes the model's output for, where that is not the target's own value."""

RANGES: dict[str, tuple[float | None, float | None]] = {
    "Hardsigmoid": (0, 1),
    "LogSigmoid": (None, 0),
    "LogSoftmax": (None, 0),
    "ReLU": (0, None),
    "ReLU6": (0, 6),
    "Sigmoid": (0, 1),
    "Softmax": (0, 1),
    "Softmax2d": (0, 1),
    "Softmin": (0, 1),
    "Softplus": (0, None),
    "Softsign": (-1, 1),
    "Tanh": (-1, 1),
}
"""The least and the largest number that a layer can give, whatever its options; None where there is none."""

"""The loop: the gear runs from look to look; checkpoints, evaluation and figures between."""

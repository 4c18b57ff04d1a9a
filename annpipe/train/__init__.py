"""Plan → Parts → a trained model: schedule, batches, gears and the loop."""

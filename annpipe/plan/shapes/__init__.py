"""Running shapes: every layer is run on the meta device, so that every size is known without data."""

"""Code that is copied beside a saved model and imports nothing of annpipe."""

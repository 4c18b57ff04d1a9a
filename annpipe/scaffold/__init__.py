"""What `annpipe new` writes: components that work at once, each with its test, in a project or as a distribution."""

"""The answers to Tab: words of the command line, components, and paths for `--set`."""

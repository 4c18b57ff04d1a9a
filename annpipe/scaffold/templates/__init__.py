"""A working component of each kind and its test: what `annpipe new` writes, with the names changed."""

"""The built-in library of annpipe: an ordinary plugin, and torch's own classes under torch's own names."""

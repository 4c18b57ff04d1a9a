"""Runs that train as one, compared with each run alone."""

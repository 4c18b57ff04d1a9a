"""The results of a sweep: trials, repetitions, their statistics and tables."""

"""Many runs of one structure as one, with a dimension more."""

"""annpipe: a YAML file is a training run."""

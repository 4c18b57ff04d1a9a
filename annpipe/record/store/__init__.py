"""The MLflow store: the only package that imports mlflow."""

"""Run folders and their journals, and what is read of them; never imports mlflow."""

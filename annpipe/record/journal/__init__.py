"""What happened in a run: its folder, its journal, and what is read of them; never imports mlflow."""

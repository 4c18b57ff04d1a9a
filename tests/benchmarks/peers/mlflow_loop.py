"""The hand-written loop that calls `mlflow.log_metric` each epoch, on an SQLite file of its own: `… [EPOCHS]`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import mlflow
import torch
from bare_loop import EPOCHS, THREADS, BareLoop, make_data

if __name__ == "__main__":
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    epochs = int(sys.argv[1]) if len(sys.argv) > 1 else EPOCHS
    mlflow.set_tracking_uri(f"sqlite:///{Path.cwd() / 'mlflow.db'}")
    mlflow.set_experiment("quadratic")
    job = BareLoop(*make_data())
    begin = time.perf_counter()
    with mlflow.start_run():
        for epoch in range(1, epochs + 1):
            mlflow.log_metric("train/loss", job.train(1)[0], step=epoch)
    print(f"loop_seconds {time.perf_counter() - begin:.3f}")

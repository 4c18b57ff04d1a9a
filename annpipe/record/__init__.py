"""From what happened to what MLflow keeps: journal → shipper → store.

The trainer's side, which never imports mlflow:  project → journal, source → recorder
The shipper's side:  shipper → ship → shipment (thin, state) → patience → store → model (pyfunc_model)
Those who look:  summary, interface
"""

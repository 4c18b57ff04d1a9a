"""From what happened to what MLflow keeps: journal → shipper → store.

The trainer's side, which never imports mlflow:  project → journal, source → recorder
The shipper's side:  shipper → ship → trials → shipment (series, thin, state) → patience → store
    and behind the store:  tables, transaction, model (pyfunc_model)
Those who look:  summary, interface
"""

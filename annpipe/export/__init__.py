"""Parts → a model folder that needs no annpipe: network.py, weights.safetensors, model.json."""

"""Several steps a call: compiled on the CPU, captured as a graph on CUDA."""

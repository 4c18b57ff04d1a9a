"""A spec with all that a run has to remember when it is interrupted."""

SPEC = """
version: 1
name: loop
seed: 1
device: {type: cpu, threads: 1}
data:
  formula: {rows: 47, inputs: {x: {Uniform: [-1, 1]}}, targets: {y: sin(3*x)}, noise: {y: {Normal: [0, 0.1]}}}
  split: {val: 0.25}
model: [Linear: 8, BatchNorm1d, Tanh, Dropout: 0.2, Linear: 1]
loss: MSELoss
optimizer: {Adam: {lr: 0.03}}
scheduler: {StepLR: {step_size: 2, gamma: 0.7}}
train: {epochs: 4, batch_size: 8, checkpoint_seconds: 1000}
metrics: [MeanAbsoluteError, R2Score]
callbacks: [early_stopping: {monitor: val/loss, patience: 3}, checkpoint: {every: 2}]
"""

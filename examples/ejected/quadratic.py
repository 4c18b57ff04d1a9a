"""quadratic: An MLP 1-100-10-6-1 of ReLUs fits y = x² + 3 with noise of standard deviation 5, full batch, Adam
on L1.

Plain PyTorch, written by `annpipe eject`: on one thread, each epoch's loss is that of `annpipe run`.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn
from torch.distributions import Normal, Uniform

EPOCHS = 10_000

# Data

torch.set_default_dtype(torch.float64)  # the data are made in double precision
# Each column that is drawn has a seed of its own, so that it does not depend on the others.
torch.manual_seed(3327109802527489235)
x = Uniform(-15.0, 15.0).sample((1000,))
y = x**2 + 3
torch.manual_seed(4378307333553645407)
y = y + Normal(0.0, 5.0).sample((1000,))
torch.set_default_dtype(torch.float32)
x_train = x.unsqueeze(1).float()
y_train = y.unsqueeze(1).float()

# Model

torch.manual_seed(1519069808562059438)  # the first weights are drawn from here
model = nn.Sequential(
    nn.Linear(1, 100),
    nn.ReLU(),
    nn.Linear(100, 10),
    nn.ReLU(),
    nn.Linear(10, 6),
    nn.ReLU(),
    nn.Linear(6, 1),
)

# Loss and optimizer

loss_function = nn.L1Loss()
optimizer = torch.optim.Adam(model.parameters(), lr=0.0002, fused=True)

# Training

train_losses = []
for epoch in range(1, EPOCHS + 1):
    optimizer.zero_grad()
    loss = loss_function(model(x_train), y_train)
    loss.backward()
    optimizer.step()
    train_losses.append(loss.item())
    if epoch % 1000 == 0:
        print(f"epoch {epoch:,}: loss {train_losses[-1]:.4f}")

# Evaluation


def measure(prediction, target):
    """The metrics of predictions, in the units of the data."""
    prediction, target = prediction.double(), target.double()
    return {
        "mean_absolute_error": (prediction - target).abs().mean(),
        "r2_score": (1 - (target - prediction).square().sum(0) / (target - target.mean(0)).square().sum(0)).mean(),
    }


model.eval()
with torch.no_grad():
    predicted_train = model(x_train)
print(f"train loss {train_losses[-1]:.4f}")
for name, value in measure(predicted_train, y_train).items():
    print(f"train {name} {value:.4f}")

# Figure and weights

figure, axes = plt.subplots(1, 2, figsize=(10, 4))
axes[0].plot(range(1, len(train_losses) + 1), train_losses, label="train")
axes[0].set(xlabel="epoch", ylabel="loss", yscale="log")
axes[0].legend()
by_x = x_train.flatten().argsort()
axes[1].scatter(x_train, y_train, s=4, alpha=0.5, label="data")
axes[1].plot(x_train[by_x], predicted_train[by_x], color="C1", label="prediction")
axes[1].set(xlabel="x", ylabel="y")
axes[1].legend()
figure.savefig("quadratic.png")
torch.save(model.state_dict(), "quadratic.pt")

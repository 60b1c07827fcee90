"""Prunes the FC layers of LeNet-5, shares their weights and retrains: Deep Compression (ICLR 2016).

    python -m compiler.models.lenet5_prune

Starts from lenet5.onnx, whose third convolution covers its whole input and becomes the fully
connected layer it is. Magnitude pruning with retraining in steps down to DENSITIES, then 15 shared
values a layer (k-means) whose centroids are fine-tuned. Needs PyTorch and scikit-learn. Writes
lenet5_pruned.onnx (dense tensors of zeros and 15 values) and lenet5_pruned.json.
"""

import json

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from compiler.models.lenet5_train import (
    BATCH,
    HELD_OUT,
    HERE,
    SPLIT_SEED,
    accuracy,
    digits,
    export,
    jitter,
)
from compiler.sparse.prune import mask
from compiler.sparse.share import share

COMMAND = "python -m compiler.models.lenet5_prune"
SEED = 11
DENSITIES = (0.10, 0.15, 0.30)  # 400 -> 120, 120 -> 84, 84 -> 10
STEPS = ((0.4, 10), (0.2, 10), (0.0, 25))  # how far above its density a layer still is, epochs
SHARED_EPOCHS = 15


def load() -> nn.Sequential:
    """The trained network with its third convolution as a Linear layer."""
    values = {
        t.name: numpy_helper.to_array(t).copy()
        for t in onnx.load(HERE / "lenet5.onnx").graph.initializer
    }
    net = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )
    layers = [layer for layer in net if isinstance(layer, (nn.Conv2d, nn.Linear))]
    for layer, name in zip(layers, ("conv1", "conv2", "conv3", "fc1", "fc2"), strict=True):
        weight = torch.tensor(values[f"{name}.weight"])
        layer.weight.data = weight.reshape(layer.weight.shape)
        layer.bias.data = torch.tensor(values[f"{name}.bias"])
    return net


class Masked(nn.Module):
    """Weights that are held at zero outside a mask."""

    def __init__(self, kept: torch.Tensor):
        super().__init__()
        self.register_buffer("kept", kept)

    def forward(self, weight):
        return weight * self.kept


class Codebook(nn.Module):
    """Weights looked up in trainable centroids; index 0 is zero."""

    def __init__(self, index: torch.Tensor):
        super().__init__()
        self.register_buffer("index", index)

    def forward(self, centroids):
        return F.pad(centroids, (1, 0))[self.index]


def train(
    net: nn.Module, x: torch.Tensor, y: torch.Tensor, epochs: int, rate: float, generator
) -> None:
    net.train()
    optimiser = torch.optim.Adam(net.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, epochs)
    for _ in range(epochs):
        for part in torch.randperm(len(x), generator=generator).split(BATCH):
            loss = F.cross_entropy(net(jitter(x[part], generator)), y[part], label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        schedule.step()
    net.eval()


def main() -> None:
    torch.set_num_threads(2)
    torch.manual_seed(SEED)
    generator = torch.Generator().manual_seed(SEED)
    images, labels = digits()
    order = np.random.default_rng(SPLIT_SEED).permutation(len(images))
    held, rest = order[:HELD_OUT], order[HELD_OUT:]
    x, y = (
        torch.tensor(images[rest], dtype=torch.float32) / 255,
        torch.tensor(labels[rest], dtype=torch.long),
    )
    net = load().eval()
    accuracies = {"trained": accuracy(net, images[held], labels[held])}
    layers = [layer for layer in net if isinstance(layer, nn.Linear)]
    for above, epochs in STEPS:
        for layer, density in zip(layers, DENSITIES, strict=True):
            weight = layer.weight.detach().clone()
            if parametrize.is_parametrized(layer):
                parametrize.remove_parametrizations(layer, "weight")
            kept = torch.tensor(mask(weight.numpy(), density + above * (1 - density)))
            parametrize.register_parametrization(layer, "weight", Masked(kept))
        train(net, x, y, epochs, 2e-3, generator)
    accuracies["pruned"] = accuracy(net, images[held], labels[held])
    for layer in layers:
        parametrize.remove_parametrizations(layer, "weight")
        shared = share(layer.weight.detach().numpy())
        layer.weight = nn.Parameter(torch.tensor(shared.centroids, dtype=torch.float32))
        parametrize.register_parametrization(
            layer, "weight", Codebook(torch.tensor(shared.index.astype(np.int64))), unsafe=True
        )
    accuracies["shared"] = accuracy(net, images[held], labels[held])
    train(net, x, y, SHARED_EPOCHS, 3e-4, generator)
    plain = load().eval()
    with torch.no_grad():
        for layer, trained in zip(plain, net, strict=True):
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                layer.weight.copy_(trained.weight)
                layer.bias.copy_(trained.bias)
    net, layers = plain, [layer for layer in plain if isinstance(layer, nn.Linear)]
    accuracies["fine_tuned"] = accuracy(net, images[held], labels[held])
    onnx.save(export(net), HERE / "lenet5_pruned.onnx")
    facts = {
        "command": COMMAND,
        "start": "lenet5.onnx",
        "seed": SEED,
        "split_seed": SPLIT_SEED,
        "heldout_images": HELD_OUT,
        "densities": {
            f"fc{n + 1}": round(float((layer.weight != 0).float().mean()), 4)
            for n, layer in enumerate(layers)
        },
        "shared_values": {
            f"fc{n + 1}": int(layer.weight.unique().numel()) - 1 for n, layer in enumerate(layers)
        },
        "heldout_accuracy": {name: round(value, 4) for name, value in accuracies.items()},
    }
    (HERE / "lenet5_pruned.json").write_text(json.dumps(facts, indent=2) + "\n")
    print(json.dumps(facts, indent=2))


if __name__ == "__main__":
    main()

"""Trains LeNet-5 on scikit-learn's handwritten digits and writes the files beside this one.

    python -m compiler.models.lenet5_train

The network: 1-6-16-120-84-10, 5x5 filters (the first padded by 2), ReLU, 2x2 max pooling, on the
8x8 digits scaled to 28x28. Needs PyTorch and scikit-learn, which nothing else in the project
imports. Writes lenet5.onnx (raw pixels 0..255 in, logits out), digits_heldout.npz (images it never
saw), digits_calibration.npz (a part of the training images) and lenet5.json (accuracy, seeds,
sizes).
"""

import json
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from torch import nn
from torch.nn import functional as F

HERE = Path(__file__).resolve().parent
COMMAND = "python -m compiler.models.lenet5_train"
SPLIT_SEED, TRAIN_SEED = 2017, 5
HELD_OUT, CALIBRATION, EPOCHS, BATCH = 450, 100, 60, 64


def digits() -> tuple[np.ndarray, np.ndarray]:
    """uint8 images [1797, 1, 28, 28], values 0..255, and labels."""
    data = load_digits()
    small = torch.tensor(data.images, dtype=torch.float32)[:, None] * (255 / 16)
    large = F.interpolate(small, size=(28, 28), mode="bilinear", align_corners=False)
    return large.round().clamp(0, 255).to(torch.uint8).numpy(), data.target.astype(np.uint8)


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 120, 5),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


def jitter(x: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Every image rotated, scaled and shifted a little."""
    n = len(x)
    angle, scale, dx, dy = (torch.rand(4, n, generator=generator) * 2 - 1) * torch.tensor(
        [0.2, 0.1, 0.12, 0.12]
    )[:, None]
    cos, sin = torch.cos(angle) * (1 + scale), torch.sin(angle) * (1 + scale)
    theta = torch.stack([torch.stack([cos, -sin, dx], 1), torch.stack([sin, cos, dy], 1)], 1)
    return F.grid_sample(x, F.affine_grid(theta, x.shape, align_corners=False), align_corners=False)


def train(images: np.ndarray, labels: np.ndarray) -> nn.Sequential:
    torch.manual_seed(TRAIN_SEED)
    generator = torch.Generator().manual_seed(TRAIN_SEED)
    x, y = torch.tensor(images, dtype=torch.float32) / 255, torch.tensor(labels, dtype=torch.long)
    net = network()
    optimiser = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=1e-2)
    steps = EPOCHS * -(-len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=4e-3, total_steps=steps)
    for _ in range(EPOCHS):
        for part in torch.randperm(len(x), generator=generator).split(BATCH):
            loss = F.cross_entropy(net(jitter(x[part], generator)), y[part], label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return net.eval()


def accuracy(net: nn.Sequential, images: np.ndarray, labels: np.ndarray) -> float:
    with torch.no_grad():
        answers = net(torch.tensor(images, dtype=torch.float32) / 255).argmax(1).numpy()
    return float((answers == labels).mean())


def export(net: nn.Sequential) -> onnx.ModelProto:
    """The network as ONNX, batch open, pixels divided by 255 inside."""
    nodes = [helper.make_node("Div", ["image", "full_scale"], ["scaled"], name="scale")]
    constants = [numpy_helper.from_array(np.float32(255), "full_scale")]
    last, convs, fcs, pools = "scaled", 0, 0, 0
    for layer in net:
        match layer:
            case nn.Conv2d():
                convs += 1
                name, op, attributes = (
                    f"conv{convs}",
                    "Conv",
                    dict(kernel_shape=[5, 5], pads=[layer.padding[0]] * 4),
                )
            case nn.Linear():
                fcs += 1
                name, op, attributes = f"fc{fcs}", "Gemm", dict(transB=1)
            case nn.MaxPool2d():
                pools += 1
                name, op, attributes = (
                    f"pool{pools}",
                    "MaxPool",
                    dict(kernel_shape=[2, 2], strides=[2, 2]),
                )
            case nn.ReLU():
                name, op, attributes = last + "_relu", "Relu", {}
            case nn.Flatten():
                name, op, attributes = "flatten", "Flatten", dict(axis=1)
        inputs = [last]
        for key, value in layer.named_parameters():
            inputs.append(f"{name}.{key}")
            constants.append(numpy_helper.from_array(value.detach().numpy(), f"{name}.{key}"))
        nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        last = name
    graph = helper.make_graph(
        nodes,
        "lenet5",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 1, 28, 28])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, ["N", 10])],
        constants,
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="eyrie"
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def main() -> None:
    torch.set_num_threads(4)
    images, labels = digits()
    order = np.random.default_rng(SPLIT_SEED).permutation(len(images))
    held, rest = order[:HELD_OUT], order[HELD_OUT:]
    net = train(images[rest], labels[rest])
    onnx.save(export(net), HERE / "lenet5.onnx")
    for name, part in (("heldout", held), ("calibration", rest[:CALIBRATION])):
        np.savez_compressed(HERE / f"digits_{name}.npz", images=images[part], labels=labels[part])
    facts = {
        "command": COMMAND,
        "data": "scikit-learn load_digits, 8x8 scaled to 28x28 (bilinear)",
        "split_seed": SPLIT_SEED,
        "train_seed": TRAIN_SEED,
        "epochs": EPOCHS,
        "train_images": len(rest),
        "calibration_images": CALIBRATION,
        "heldout_images": HELD_OUT,
        "train_accuracy": round(accuracy(net, images[rest], labels[rest]), 4),
        "heldout_accuracy": round(accuracy(net, images[held], labels[held]), 4),
    }
    (HERE / "lenet5.json").write_text(json.dumps(facts, indent=2) + "\n")
    print(json.dumps(facts, indent=2))


if __name__ == "__main__":
    main()

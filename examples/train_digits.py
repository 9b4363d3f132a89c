"""Train a small MLP and a small CNN on scikit-learn's digits and save both as ONNX files.

    python examples/train_digits.py --out examples

writes ``models/digits_mlp.onnx``, ``models/digits_cnn.onnx``, ``models/accuracy.json`` and
``data/digits_test.npz`` (the held-out images ``X [n, 64]`` in [0, 1] and labels ``y``) under the folder.
The seeds are fixed. The accuracy on the held-out images is printed and kept in each file's metadata.
"""

import argparse
import json
import logging
import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn


def digits() -> list[NDArray[np.float32]]:
    """Training images, held-out images, and their labels; an image is 64 numbers in [0, 1]."""
    images, labels = load_digits(return_X_y=True)
    return train_test_split((images / 16).astype(np.float32), labels, test_size=360, random_state=0)


def mlp() -> nn.Module:
    """64-32-16-10, ReLU between."""
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 10))


def cnn() -> nn.Module:
    """Two convolutions with ReLU and max pooling on the 8 x 8 image, then a linear layer."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


def train(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, epochs: int) -> None:
    """Adam on the cross entropy, batches of 64, learning rate falling along half a cosine."""
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3, weight_decay=1e-5)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        for chosen in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[chosen]), labels[chosen]).backward()
            optimizer.step()
        schedule.step()


def save(model: nn.Module, example: torch.Tensor, path: Path) -> None:
    """Write the model as one ONNX file that takes any number of images."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # silent about torchvision, which is not used
    warnings.simplefilter("ignore", FutureWarning)  # torch's exporter calls its own deprecated names
    program = torch.onnx.export(
        model.eval(),
        (example,),
        input_names=["image"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        verbose=False,
    )
    assert program is not None, "the exporter gives a program"
    onnx.save(stripped(program.model_proto), path)


def stripped(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model without the exporter's notes on where each node came from."""
    for node in proto.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    for entry in (*proto.graph.input, *proto.graph.output, *proto.graph.value_info, *proto.graph.initializer):
        del entry.metadata_props[:]
    del proto.graph.metadata_props[:], proto.metadata_props[:], proto.graph.value_info[:]
    return proto


def accuracy(path: Path, images: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The share of images that the file's network classifies right, in onnxruntime."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    [logits] = session.run(None, {"image": images})
    return float((logits.argmax(1) == labels).mean())


def record(path: Path, reached: float) -> None:
    """Keep the accuracy in the file's own metadata."""
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {"accuracy": f"{reached:.4f}", "data": "scikit-learn digits"})
    onnx.save(model, path)


def main() -> None:
    """Train, save, measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--epochs", type=int, default=60)
    options = parser.parse_args()
    models, data = options.out / "models", options.out / "data"
    models.mkdir(parents=True, exist_ok=True)
    data.mkdir(parents=True, exist_ok=True)

    torch.set_num_threads(1)
    train_images, test_images, train_labels, test_labels = digits()
    np.savez_compressed(data / "digits_test.npz", X=test_images, y=test_labels)
    reached = {}
    for name, build, shape in (("digits_mlp", mlp, (64,)), ("digits_cnn", cnn, (1, 8, 8))):
        torch.manual_seed(0)
        model = build()
        images = torch.tensor(train_images).reshape(-1, *shape)
        train(model, images, torch.tensor(train_labels), options.epochs)
        path = models / f"{name}.onnx"
        save(model, images[:2], path)
        reached[name] = round(accuracy(path, test_images.reshape(-1, *shape), test_labels), 4)
        record(path, reached[name])
        print(f"{path}: accuracy {reached[name]:.4f} on {len(test_images)} held-out images")
    (models / "accuracy.json").write_text(json.dumps(reached, indent=2) + "\n")


if __name__ == "__main__":
    main()

"""PyTorch models: modules, programs of ATen operators, TorchScript, bare weights."""

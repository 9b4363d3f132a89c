"""ONNX models: files, graphs, runtimes, export."""

"""TFLite models: their flatbuffers read, their operators written as ONNX ones."""

"""A trained model for others: an ONNX file, a folder that timm opens."""

"""A trained model without this package: as an ONNX file, or as a folder for timm."""

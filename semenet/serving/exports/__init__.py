"""SavedModels, ONNX, OpenVINO, LiteRT, and folders for TensorFlow Serving."""

"""Other engines' formats: `ctranslate2_format` and `onnx_format` write them, `directory` makes the place."""

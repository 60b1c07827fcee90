"""Network in, program out: ONNX import, quantiser, images, devices, interpreter."""

"""The network: a Perceiver / Perceiver IO. Tensors in, tensors out; knows no game."""

"""Recurrent weights and biases to start from."""

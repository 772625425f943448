"""Gradient clipping: thresholds given, observed, or held inside backpropagation through time."""

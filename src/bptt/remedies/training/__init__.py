"""Repairs of the loop around the model: what owns, clears, skips and scales the updates."""

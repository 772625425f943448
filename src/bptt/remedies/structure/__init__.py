"""Other cells, activations and truncation lengths in a layer's place."""

"""What the hooks write down: calls of recurrent modules, where their states came from, when a backward pass begins."""

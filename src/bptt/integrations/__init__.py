"""Other people's frameworks: the only room, with `lm`, that imports them, and only when one is asked for."""

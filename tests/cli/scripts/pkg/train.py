"""Shows what a module run with -m sees of itself."""

import sys

from .part import WORD

print(WORD, __name__, __package__, __spec__.name if __spec__ else None, __file__)
print(sys.argv, sys.path[0])
if "--fail" in sys.argv:
    raise ValueError(WORD)

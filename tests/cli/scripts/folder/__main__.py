"""Run by `python folder`."""

import sys

print("folder", sys.argv, sys.path[0], __name__, __package__, __file__)

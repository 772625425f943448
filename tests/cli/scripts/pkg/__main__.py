"""Run by `python -m pkg`."""

from . import train

print("main of", __package__, train.WORD, __spec__.name if __spec__ else None)

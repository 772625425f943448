"""Shows what a script sees of itself."""

import pickle
import sys

import sibling


class Thing:
    pass


if __name__ == "__main__":
    import __main__

    print(sys.argv)
    print(__name__, __file__, __spec__, __package__, __cached__, type(__loader__).__name__)
    print(sys.path[0], sibling.__file__)
    print(sorted(globals()))
    print(__main__.Thing is Thing, type(pickle.loads(pickle.dumps(Thing()))) is Thing)
    print(sys.stdin.read())

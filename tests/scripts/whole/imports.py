# Neighbours and the path are those of the script.
import os, sys
import neighbour
print(neighbour.WORD, os.path.samefile(sys.path[0], os.path.dirname(__file__)), "__main__" in sys.modules)
print(sys.modules["__main__"].__file__ == __file__, sys.modules["__main__"].WORD if "WORD" in globals() else None)

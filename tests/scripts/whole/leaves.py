import atexit, sys
atexit.register(lambda: print("last", __name__))
print("before")
sys.exit(3)

# args: --lr 0.1 -m 3 --help-me data
import argparse, sys
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float)
parser.add_argument("-m", type=int)
parser.add_argument("--help-me", action="store_true")
parser.add_argument("rest", nargs="*")
print(vars(parser.parse_args()), parser.prog, sys.argv, __name__, __file__.endswith("arguments.py"), __spec__, __doc__)

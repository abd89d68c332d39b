# args: --no-such-flag
import argparse
argparse.ArgumentParser().parse_args()

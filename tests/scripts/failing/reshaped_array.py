# code: array-shapes
# message: NumPy refuses patches 4×15×12: cannot reshape array of size 720 into shape
# line: image = patches.reshape(4, 16, 12)
# fix: (4, 15, 12) => (4, 16, 12)
import numpy
import torch  # noqa
patches = numpy.zeros((4, 15, 12))
image = patches.reshape(4, 16, 12)

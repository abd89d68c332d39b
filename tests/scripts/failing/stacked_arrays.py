# code: array-shapes
# message: NumPy refuses rows[0] 10 and rows[1] 9: all input arrays must have the same shape
# line: table = numpy.stack(rows)
# fix: zeros(9) => zeros(10)
import numpy
import torch  # noqa
rows = [numpy.zeros(10), numpy.zeros(9)]
table = numpy.stack(rows)

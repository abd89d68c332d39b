import os, signal
os.kill(os.getpid(), signal.SIGINT)
for _ in range(10**9):
    pass

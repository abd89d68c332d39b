import os, signal
print("on", signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT), flush=True)
os.kill(os.getpid(), signal.SIGTERM)

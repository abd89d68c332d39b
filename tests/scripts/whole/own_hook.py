import sys
def hook(kind, error, traceback):
    names = []
    while traceback:
        names.append(traceback.tb_frame.f_code.co_name)
        traceback = traceback.tb_next
    print("hooked", kind.__name__, error, names)
sys.excepthook = hook
def fail():
    raise KeyError("label")
fail()

import gc, sys
print(sys.stdin.read(), gc.isenabled(), sys.excepthook is sys.__excepthook__, sys.unraisablehook is sys.__unraisablehook__)
print(sorted(name for name in sys.modules if name.split(".")[0] in ("typer", "rich", "torch", "msgspec", "yaml")))

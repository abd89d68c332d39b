import subprocess, sys
out = subprocess.run([sys.executable, "-c", "import sys; print(sys.argv, 'vit_trace' in sys.modules); sys.exit(4)"], capture_output=True, text=True)
print(out.returncode, out.stdout)

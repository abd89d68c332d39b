"""Where things stand in the repository."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "vit_trace"
CONFIGS = ROOT / "configs"

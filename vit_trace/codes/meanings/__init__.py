"""What codes mean that are given in many places: registered here by area.

Causes of a failure, silent mistakes and rules of `check` register their own codes beside their code.
"""

from vit_trace.codes.meanings import checkpoint, config, memory, notes, recording, targets, usage
from vit_trace.codes.registry import register_all

register_all("failure", recording.MEANINGS)
register_all("silent", notes.MEANINGS)
register_all("checkpoint", checkpoint.MEANINGS)
register_all("memory", memory.MEANINGS)
register_all("config", config.MEANINGS)
register_all("target", targets.MEANINGS)
register_all("usage", usage.MEANINGS)

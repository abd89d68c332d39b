"""Knows which functions take operands of one dtype, and says how the dtypes of a call differ. No torch."""

from vit_trace.base.trace import Operand
from vit_trace.diagnose.scene import called, name_in_layer

CONVOLUTIONS = {f"conv{kind}{dims}d" for kind in ("", "_transpose") for dims in (1, 2, 3)}
NORMS = {"layer_norm", "rms_norm", "batch_norm", "group_norm", "instance_norm"}
CONTRACTIONS = {"linear", "matmul", "bmm", "mm", "addmm", "baddbmm", "einsum", "scaled_dot_product_attention"}
CONTRACTIONS |= CONVOLUTIONS | {"bilinear", "multi_head_attention_forward"}
HALVES = {"float16", "bfloat16"}
FLOATS = HALVES | {"float32", "float64"}


def dtype_clash(call: str, layer: str, operands: tuple[Operand, ...]) -> str:
    """How the dtypes differ that a real run refuses, though the shapes would do; "" where they go together."""
    x = operands[0] if operands else None
    others = [operand for operand in operands[1:] if operand.dtype in FLOATS]
    if x is None or not others:
        return ""
    name = name_in_layer(x)
    if x.dtype not in FLOATS and not x.dtype.startswith("complex"):
        return f"{layer} holds {others[0].dtype}, {name} is {x.dtype}: whole numbers are not converted"
    odd = next((operand for operand in others if operand.dtype != x.dtype), None)
    converts = call == "rms_norm" or (
        call in NORMS and x.dtype in HALVES and {one.dtype for one in others} == {"float32"}
    )
    if odd is None or converts or call not in CONTRACTIONS | NORMS:
        return ""
    what = f"{layer} holds {odd.dtype}" if odd.parameter else f"{called(odd)} is {odd.dtype}"
    return f"{what}, {name} is {x.dtype}"

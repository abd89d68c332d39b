"""Registers how each library names the parts of a Vision Transformer: the role that each name plays.

Each file of this package registers the layouts of some libraries; no list names the files. A role is the same for all
libraries: `block.#.q.weight`, `pos`, `head.bias`; `#` stands for the layer's number. `naming.py` recognises with
`known_layouts`.
"""

import re
from functools import cache

from msgspec import Struct

from vit_trace.base.modules import import_all


class LibraryLayout(Struct, frozen=True):
    """One library's names: `words` is what people call it, `roles` gives the role of each name.

    Where two layouts explain equally many tensors, the one of lower `rank` is taken. A layout in `stages` numbers its
    layers by stage and place, and is not a plain Vision Transformer.
    """

    name: str
    words: str
    rank: int
    roles: dict[str, tuple[str, ...]]
    stages: bool = False


_LAYOUTS: dict[str, LibraryLayout] = {}


def register_layouts(text: str) -> None:
    """Register layouts by their text: a line `layout NAME RANK WORDS`, then lines of a role and the names that play it.

    After a line `in CONTAINERS` the names are those of a layer in each of the containers, and the roles those of
    `block.#.`, or of what follows a colon. A name that ends in `*` stands for a weight (in flax a kernel) and a bias.
    `#` is a number, `@` one before it; `#-` is one less.
    """
    roles: dict[str, tuple[str, ...]] = {}
    containers, block = [""], ""
    for line in filter(None, text.splitlines()):
        role, *names = line.split()
        if role == "layout":
            roles, containers, block = {}, [""], ""
            stages = STAGED.search(text) is not None
            _LAYOUTS[names[0]] = LibraryLayout(names[0], " ".join(names[2:]), int(names[1]), roles, stages)
        elif role == "in":
            containers, block = names, "block.#."
            if ":" in names:
                containers, block = names[: names.index(":")], names[-1]
        else:
            for full in (container + one for container in containers for one in names):
                leaves = ("kernel" if "/" in full else "weight", "bias") if full.endswith("*") else ("",)
                for leaf in leaves:
                    name = full.rstrip("*") + leaf
                    roles[name] = (*roles.get(name, ()), block + role.rstrip("*") + leaf)


STAGED = re.compile(r"block\.[@\d]_#\.")
"""The role of a layer by its stage and its place in it."""


@cache
def known_layouts() -> dict[str, LibraryLayout]:
    """Every layout by name, those of low rank first."""
    import_all(__name__)
    return {one.name: one for one in sorted(_LAYOUTS.values(), key=lambda one: one.rank)}


AXES = {
    "patch.weight": ("dim", "channels", "patch", "patch"), "patch.bias": ("dim",),
    "flat.weight": ("dim", "patch_dim"), "flat.bias": ("dim",), "flat_norm": ("patch_dim",),
    "pos": ("positions", "dim"), "cls": ("dim",), "dist": ("dim",), "mask": ("dim",), "registers": ("registers", "dim"),
    "q.weight": ("inner", "dim"), "k.weight": ("inner", "dim"), "v.weight": ("inner", "dim"),
    "q.bias": ("inner",), "k.bias": ("inner",), "v.bias": ("inner",),
    "out.weight": ("dim", "inner"), "out.bias": ("dim",), "attn_norm": ("inner",),
    "q_norm": ("dim_head",), "k_norm": ("dim_head",),
    "fc1.weight": ("mlp_dim", "dim"), "fc1.bias": ("mlp_dim",), "gate.weight": ("mlp_dim", "dim"),
    "gate.bias": ("mlp_dim",), "mlp_norm": ("mlp_dim",), "fc2.weight": ("dim", "mlp_dim"), "fc2.bias": ("dim",),
    "norm1": ("dim",), "norm2": ("dim",), "norm": ("dim",), "pre_norm": ("dim",), "ls1": ("dim",), "ls2": ("dim",),
    "fc_norm": ("dim",), "head_norm": ("dim",), "relative": ("window", "heads"),
    "head.weight": ("classes", "dim"), "head.bias": ("classes",),
    "head_dist.weight": ("classes", "dim"), "head_dist.bias": ("classes",),
    "pooler.weight": ("dim", "dim"), "pooler.bias": ("dim",),
    "rel_h": ("rel", "dim_head"), "rel_w": ("rel", "dim_head"), "detection": ("detection", "dim"),
}  # fmt: skip
"""What each axis of a role's tensor is, in its normal form."""

HEAD_ROLES = ("head", "head_dist", "head_norm", "fc_norm", "pooler", "pre_logits", "pool", "proj", "mask", "decoder")
"""Roles that may stand outside the backbone that holds the rest."""


def part_of(role: str) -> str:
    """q.weight of block.3.q.weight; norm of norm.bias."""
    short = role.split(".", 2)[2] if role.startswith("block.") else role
    return short if short in AXES else short.rpartition(".")[0] or short


def block_of(role: str) -> int | None:
    """The number of the role's layer, in its stage where there are stages."""
    return int(role.split(".")[1].rpartition("_")[2]) if role.startswith("block.") else None

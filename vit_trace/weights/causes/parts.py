"""Finds what training saved beside the network: copies of it, projectors and decoders, adapters, buffers."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from vit_trace.base.words import first_few
from vit_trace.config.words import cut
from vit_trace.weights.causes import Misfit, MisfitKind, names_of
from vit_trace.weights.compare import Comparison, Item
from vit_trace.weights.data import Entry
from vit_trace.weights.mapping import tensors_counted
from vit_trace.weights.remedy import HEAD, Sparing, is_buffer
from vit_trace.weights.wrapped import Unwrapped

PARTS = MisfitKind(
    "checkpoint-parts",
    """
    The checkpoint holds more than the model: a projection head, a decoder, a text encoder, or a second copy of the
    network (a student beside its teacher, a momentum encoder). What the model computes does not need them, but
    load_state_dict refuses them: leave them out.
    """,
)
BUFFERS = MisfitKind(
    "checkpoint-buffers",
    """
    Buffers that follow from the config (relative_position_index, position_ids, num_batches_tracked) are in the state
    dict of one side only. Nothing is lost without them, but load_state_dict refuses the difference.
    """,
)
ADAPTER = MisfitKind(
    "checkpoint-adapter",
    """
    The checkpoint is of PEFT: small matrices for some modules of a model (LoRA), alone or beside the model's own
    tensors. They are of use only in the same model, wrapped by peft.
    """,
)


def parts_of(found: Comparison, plain: Unwrapped) -> Iterator[Misfit]:
    """What the checkpoint has besides the network, in one misfit, and buffers on one side in another."""
    sparing = Sparing(found, (part.name for parts in found.sources.values() for part in parts))
    spare = [item for item in found.items if item.want is None]
    held = Counter(sparing.part(item.ours) for item in spare)
    apart = [item for item in spare if _is_part(item, sparing, held)]
    groups: dict[str, list[Item]] = {}
    for item in apart:
        groups.setdefault(sparing.part(item.ours), []).append(item)
    if groups:
        masks = [item for item in spare if item.role == "mask"]
        groups |= {item.ours: [item] for item in masks}
        apart += masks
    parts = [f"{cut(name, 60)} ({tensors_counted(one.ours for one in items)})" for name, items in groups.items()]
    if plain.copies:
        taken, *others = plain.copies
        parts.insert(0, f"{' and '.join(others)} ({tensors_counted(plain.others)}), beside {taken} of the same names")
    if parts:
        help = tuple(f"--key {one.rstrip('.')} takes that copy of the network instead" for one in plain.copies[1:])
        if any(item.role.startswith("decoder.") for item in apart):
            help += ("hf:ViTMAEForPreTraining has a place for MAE's decoder",)
        message = f"checkpoint has parts that this model does without: {first_few(parts, 3)}"
        yield Misfit(PARTS, message, tuple(apart), help=help)
    buffers = [item for item in found.items if is_buffer(item.name) and None in (item.have, item.want)]
    known = set(apart)
    buffers = [item for item in buffers if item not in known]
    for ours in (True, False):
        if some := tuple(item for item in buffers if (item.want is None) == ours):
            have = "has" if ours else "lacks"
            which = f"{tensors_counted(item.name for item in some)}: {names_of(some, ours=ours)}"
            yield Misfit(BUFFERS, f"checkpoint {have} buffers that this model computes itself, {which}", some)


def _is_part(item: Item, sparing: Sparing, held: Mapping[str, int]) -> bool:
    """Whether a tensor belongs to a part of its own: no head of classes, no single tensor of the network."""
    role = item.role.split(".")[0]
    if role:
        return role == "decoder"
    part = sparing.part(item.ours)
    inside = item.ours.startswith(sparing.strip)
    if inside and held[part] <= 2 and HEAD.fullmatch(part.removeprefix(sparing.strip)):
        return False
    return sparing.is_spare(item.ours) and (part != item.ours or not inside)


def adapter_in(plain: Unwrapped, model: Iterable[str]) -> Iterator[Misfit]:
    """A model that peft wrapped, saved whole; `model` are the names of ours."""
    if plain.adapters:
        ranks = sorted({entry.shape[0] for name, entry in plain.adapters.items() if ".lora_A" in name and entry.shape})
        targets = sorted({name.split(".lora_")[0].rpartition(".")[2] for name in plain.adapters if ".lora_" in name})
        rank = f" of rank {', '.join(map(str, ranks))}" if ranks else ""
        message = f"checkpoint is of a model that peft wrapped: {tensors_counted(plain.adapters)} of adapters{rank}"
        saved = [name.split(".original_module.")[0].rpartition(".")[2] for name in plain.replaced[:1]]
        more = f", modules_to_save={saved}" if saved else ""
        config = f"peft.LoraConfig(r={ranks[0] if ranks else '…'}, target_modules={targets}{more})"
        modules = {part for name in model for part in name.split(".")}
        help: tuple[str, ...] = ("save it merged: torch.save(model.merge_and_unload().state_dict(), FILE)",)
        if modules.issuperset(targets):
            way = f"model = peft.get_peft_model(model, {config}) has these names"
            help = (f"{way}; lora_alpha has to be as in training", f"or {help[0]}")
        note = "without the adapters the base model alone is left: it computes what it did before training"
        yield Misfit(ADAPTER, message, help=help, notes=(note,))


def adapter_alone(
    entries: Mapping[str, Entry], model: Mapping[str, Entry] | None, config: Mapping[str, Any], path: str
) -> Misfit | None:
    """An adapter without its model: which modules of this model, if any, it fits. None where there is more in it."""
    modules: dict[str, dict[str, Entry]] = {}
    others = []
    for name, entry in entries.items():
        module, lora, rest = name.removeprefix("base_model.model.").partition(".lora_")
        if lora:
            modules.setdefault(module, {})[rest[:1]] = entry
        else:
            others.append(name.removeprefix("base_model.model."))
    if not modules or len(others) > len(modules):
        return None
    notes = [f"its base model: {cut(str(base), 150)}" for base in _bases(config)]
    wrong: list[str] = []
    if model is not None:
        wrong = [module for module, pair in modules.items() if not _fits(module, pair, model)]
        wrong += [one for one in others if one not in model or model[one].shape != entries[_in(entries, one)].shape]
        count = len(modules) + len(others)
        notes.insert(0, f"it fits {count - len(wrong)} of its {count} modules")
        notes += [f"this model has no such module: {cut(first_few(wrong, 3), 200)}"] if wrong else []
    rank = config.get("r") or next(iter(next(iter(modules.values())).get("A", Entry((0,))).shape), 0)
    alpha = f", alpha {config['lora_alpha']}" if isinstance(config.get("lora_alpha"), (int, float)) else ""
    targets = ", ".join(sorted({module.rpartition(".")[2] for module in modules}))
    what = f"checkpoint is a LoRA adapter of rank {rank}{alpha} for {cut(targets, 100)}, not a whole model"
    help = f"peft.PeftModel.from_pretrained(model, {path!r})"
    return Misfit(ADAPTER, what, notes=tuple(notes), help=(help,), severity="error" if wrong else "warning")


def _in(entries: Mapping[str, Entry], name: str) -> str:
    return name if name in entries else f"base_model.model.{name}"


def _fits(module: str, pair: Mapping[str, Entry], model: Mapping[str, Entry]) -> bool:
    weight, down, up = model.get(f"{module}.weight"), pair.get("A"), pair.get("B")
    if weight is None or down is None or up is None or len(weight.shape) != 2:
        return weight is not None and len(weight.shape) == 4
    return (up.shape[0], down.shape[1]) == weight.shape


def _bases(config: Mapping[str, Any]) -> list[Any]:
    """What the config says of the model that it belongs to."""
    mapped = config.get("auto_mapping")
    found = [
        config.get("base_model_name_or_path"),
        mapped.get("base_model_class") if isinstance(mapped, dict) else None,
    ]
    return [one for one in found if one]

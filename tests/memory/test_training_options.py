"""Each option of a training run changes the figures as a real run of it on a CPU does."""

from contextlib import nullcontext
from copy import deepcopy
from functools import partial
from math import prod

import pytest
import torch
from helpers.commands import call, python_process
from helpers.places import ROOT
from test_memory import really_saved, small
from torch.optim.swa_utils import AveragedModel

from vit_trace.base.refused import Refused
from vit_trace.memory.judge import Run, memory_report
from vit_trace.memory.meter import Meter, Where
from vit_trace.memory.options import Lora, Training, lora_of
from vit_trace.memory.states import OPTIMIZERS as KNOWN
from vit_trace.memory.states import Trained
from vit_trace.memory.subject import freeze, with_lora

CPU = partial(Training, 2, device="cpu")
SHAPE = (2, 3, 64, 64)
COUNTER = 4
"""Bytes of an optimizer's step counter, one for a parameter: on the CPU, and not counted."""


def real_kernel(func, args, kwargs):
    """Runs a kernel."""
    return func(*args, **kwargs)


def frozen(globs):
    model = small().build()
    freeze(model, globs)
    return model


def adapted():
    return with_lora(small().build(), Lora(4, ("to_qkv", "net.0"), ("mlp_head.1",)))


MODELS = {
    "freeze": (partial(frozen, ["transformer.layers.[01].*"]), {"freeze": ("transformer.layers.[01].*",)}),
    "freeze all but the head": (
        partial(frozen, ["t*", "pos_*", "cls_*"]),
        {"freeze": ("t*", "pos_*", "cls_*")},
    ),
    "lora": (adapted, {"lora": Lora(4, ("to_qkv", "net.0"), ("mlp_head.1",))}),
}


def real_peak(model, earlier):
    """Peak bytes of a real step on CPU after some earlier ones; MemTracker takes no model with frozen parameters."""
    stepper = torch.optim.AdamW([one for one in model.parameters() if one.requires_grad], foreach=True)
    image = torch.randn(SHAPE)
    for last in [False] * earlier + [True]:
        meter = Meter(Where(model), real_kernel)
        kept = [value for held in stepper.state.values() for value in held.values() if isinstance(value, torch.Tensor)]
        meter.add_all((*model.parameters(), *model.buffers(), image, *kept), "held")
        with meter if last else nullcontext():
            out = model(image)
            out.sum().backward()
            stepper.step()
        model.zero_grad()
        del out
    return meter.tape(2, ()).peak()[0], len(stepper.param_groups[0]["params"])


@pytest.mark.parametrize("name", MODELS)
def test_what_is_trained_is_what_a_real_run_trains(name):
    make, options = MODELS[name]
    run = Run(small(), CPU(**options))
    line = run.timeline(run.tape(2))
    assert run.tape(2).saved_bytes == really_saved(make, SHAPE)
    for ours, earlier in ((line.first_peak()[0], 0), (line.later_peak()[0], 1)):
        theirs, parameters = real_peak(make().train(), earlier)
        assert 0 <= theirs - ours <= COUNTER * parameters


def test_the_gradients_and_state_of_lora_are_those_of_what_peft_trains():
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=4, target_modules=["to_qkv", "net.0"], modules_to_save=["mlp_head.1"])
    trained = get_peft_model(small().build(), config).get_nb_trainable_parameters()[0]
    report = memory_report(small(), CPU(lora=Lora(4, ("to_qkv", "net.0"), ("mlp_head.1",))), None)
    assert (report.gradients, report.optimizer_state) == (4 * trained, 8 * trained)


def test_gradients_of_earlier_batches_are_there():
    """The second of two batches of one optimizer step, in a real run and in ours."""
    model = small().build().train()
    image = torch.randn(SHAPE)
    model(image).sum().backward()
    meter = Meter(Where(model), real_kernel)
    meter.add_all(model.parameters(), "parameters")
    meter.add_all((one.grad for one in model.parameters()), "gradients")
    meter.add(image, "inputs")
    with meter:
        out = model(image)
        out.sum().backward()
    real = meter.tape(2, ()).peak()[0]
    run = Run(small(), CPU(optimizer="none", accumulate=2))
    assert run.peak(2) == real > Run(small(), CPU(optimizer="none")).peak(2)


def test_averaged_weights_are_torchs_copy():
    model = small().build()
    copies = AveragedModel(model)
    size = sum(one.nbytes for one in (*copies.module.parameters(), *copies.module.buffers()))
    assert Run(small(), CPU(ema=True)).peak(2) - Run(small(), CPU()).peak(2) == size


def test_a_forward_without_gradients_takes_what_a_real_one_takes():
    model, image = small().build().eval(), torch.randn(SHAPE)
    meter = Meter(Where(model), real_kernel)
    meter.add_all((*model.parameters(), *model.buffers()), "parameters")
    meter.add(image, "inputs")
    with meter, torch.no_grad():
        model(image)
    report = memory_report(small(), CPU(inference=True), None)
    assert report.peak.bytes == report.first_step.bytes == meter.tape(2, ()).peak()[0]
    assert (report.gradients, report.optimizer_state, report.activations) == (0, 0, 0)


def test_the_next_batch_is_one_batch_more():
    more = Run(small(), CPU(input_on_device=True)).peak(2) - Run(small(), CPU()).peak(2)
    assert more == 4 * 2 * 3 * 64 * 64


def test_fewer_blocks_are_recomputed():
    saved = [Run(small(), CPU(checkpointing=True, checkpoint_every=every)).tape(2).saved_bytes for every in (1, 2, 9)]
    assert saved == sorted(saved) and len(set(saved)) == 3
    report = memory_report(small(), CPU(checkpointing=True, checkpoint_every=3), None)
    assert report.recomputed == ("transformer.layers.0.0", "transformer.layers.0.1")


def test_float16_takes_what_bfloat16_takes():
    peaks = {name: Run(small(), CPU(precision=name)).peak(2) for name in ("fp16-mixed", "bf16-mixed", "fp32")}
    assert peaks["fp16-mixed"] == peaks["bf16-mixed"] != peaks["fp32"]


SHAPES = [(3, 16, 7, 7), (5,), (128, 64), (96,), (64, 96)]


def real_optimizer(name):
    import timm.optim

    return {
        "adamw": partial(torch.optim.AdamW, foreach=True),
        "sgd": partial(torch.optim.SGD, lr=0.1, foreach=True),
        "sgd+momentum": partial(torch.optim.SGD, lr=0.1, momentum=0.9, foreach=True),
        "lion": partial(timm.optim.Lion, foreach=True),
        "lamb": partial(timm.optim.Lamb, foreach=True),
        "adafactor": torch.optim.Adafactor,
    }[name]


@pytest.mark.parametrize("name", sorted(KNOWN.keys() - {"none", "adamw8bit"}))
def test_optimizers_keep_and_take_what_the_real_ones_do(name):
    held = [torch.nn.Parameter(torch.randn(shape)) for shape in SHAPES]
    stepper = real_optimizer(name)(held)
    for step in range(2):
        meter = Meter(Where(torch.nn.Linear(1, 1)), real_kernel)
        for one in held:
            one.grad = torch.randn_like(one)
            kept = [value for value in stepper.state[one].values() if isinstance(value, torch.Tensor)] if step else []
            meter.add_all((one, one.grad, *kept), "held")
        before = sum(meter.bytes)
        with meter:
            stepper.step()
        taken = meter.tape(1, ()).peak()[0] - before
    state = [value for one in stepper.state.values() for value in one.values() if isinstance(value, torch.Tensor)]
    trained = [Trained(shape, 4) for shape in SHAPES]
    assert sum(size for one in trained for size in KNOWN[name].state(one)) == sum(
        value.nbytes for value in state if value.numel() > 1
    )
    modelled = sum(KNOWN[name].most_temporary(trained))
    assert modelled <= taken <= 1.05 * modelled + 64


def test_eight_bit_states_are_those_of_bitsandbytes_formula():
    """A byte an element and a float32 a block of 256, twice; float32 below 4096 elements."""
    assert sum(KNOWN["adamw8bit"].state(Trained((1024, 1024), 4))) == 2 * (2**20 + 4 * 2**12)
    assert sum(KNOWN["adamw8bit"].state(Trained((4095,), 4))) == 8 * 4095


def test_ddp_has_buckets_as_large_as_the_gradients():
    plain, ddp = (memory_report(small(), CPU(ddp=ddp), None) for ddp in (False, True))
    assert ddp.peak.parts["DDP buckets"] == ddp.gradients
    assert ddp.peak.bytes - plain.peak.bytes == plain.gradients


def real_sharding(*words):
    """What real_fsdp.py prints."""
    done = python_process(
        "tests/memory/real_fsdp.py", *map(str, words), PYTHONPATH=f"{ROOT}:{ROOT}/tests:{ROOT}/tests/memory"
    )
    return int(done.stdout.split()[-1])


@pytest.mark.parametrize(
    ("zero", "gpus", "batch"),
    [(3, 4, 2), *(pytest.param(*one, marks=pytest.mark.slow) for one in ((3, 8, 8), (2, 2, 2)))],
)
def test_sharding_takes_what_fsdp_takes(zero, gpus, batch):
    """Within 5 %: FSDP2 also makes tensors of its own while it copies."""
    ours = Run(small(dropout="0"), Training(batch, device="cpu", shards=gpus, zero=zero)).peak(batch)
    assert ours == pytest.approx(real_sharding(gpus, zero, batch), rel=0.05)
    assert ours < 0.8 * Run(small(dropout="0"), Training(batch, device="cpu")).peak(batch)


@pytest.mark.slow
def test_the_optimizers_state_is_dealt_out_as_by_torch():
    report = memory_report(small(dropout="0"), CPU(shards=4, zero=1), None)
    assert report.optimizer_state == 8 * real_sharding(4, 1, 2)
    assert report.gradients == memory_report(small(), CPU(), None).gradients


def test_shards_are_padded_rows():
    report = memory_report(small(dropout="0"), CPU(shards=4, zero=3), None)
    shapes = [tuple(one.shape) for one in small(dropout="0").build().parameters()]
    rows = sum(-(-shape[0] // 4) * prod(shape[1:]) for shape in shapes)
    assert (report.parameters, report.gradients, report.optimizer_state) == (4 * rows, 4 * rows, 8 * rows)


@pytest.mark.parametrize(
    ("text", "lora"),
    [
        ("r=8,targets=qkv", Lora(8, ("qkv",))),
        ("targets=query+value,r=16,save=classifier", Lora(16, ("query", "value"), ("classifier",))),
    ],
)
def test_lora_as_typed(text, lora):
    assert lora_of(text) == lora


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--freeze", "blocks.*"], "no parameter of ViT has such a name"),
        (["--lora", "r=8,targets=q_proj"], "Target modules"),
        (["--inference", "--ema"], "--ema says how to train"),
        (["--optimizer", "rmsprop"], "rmsprop"),
    ],
)
def test_what_a_model_has_not_is_refused(arguments, said, capsys):
    run = call(capsys, "check", "configs/vit_ti_16.yaml", "--memory", "24GiB", *arguments)
    assert run.code == 2 and said in run.out + run.err


@pytest.mark.parametrize("words", [["--checkpointing", "every=3"], ["--checkpointing=every=3"]])
def test_every_third_block_is_recomputed(words, capsys):
    run = call(capsys, "check", *words, "configs/vit_ti_16.yaml", "--memory", "24GiB")
    assert run.code == 0 and "layers.0,3,6,9.0…1 recomputed" in " ".join(run.out.split())
    run = call(capsys, "check", "--checkpointing", "configs/vit_ti_16.yaml", "--memory", "24GiB")
    assert run.code == 0 and "layers.0…11.0…1 recomputed" in " ".join(run.out.split())


def test_a_frozen_model_is_left_as_it_was():
    target = small()
    model = target.build()
    before = deepcopy([one.requires_grad for one in model.parameters()])
    memory_report(target, CPU(freeze=("transformer.*",)), None)
    assert [one.requires_grad for one in target.build().parameters()] == before
    with pytest.raises(Refused):
        memory_report(target, CPU(freeze=("blocks.*",)), None)

"""The page, opened in a browser: its sizes at other settings are those of a real trace there, or unknown."""

import pytest
from helpers.browser import chromium, shapes_at, totals_of, watched_page
from helpers.everything import EVERYTHING

import vit_trace
from vit_trace.base.words import bytes_text, compact, shape_text
from vit_trace.render.page.page import page_of
from vit_trace.view.outline import outline
from vit_trace.view.screen import Screen


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture
def page(browser):
    """A page on which no script fails and nothing is asked of the network."""
    page, said = watched_page(browser)
    yield page
    page.close()
    assert said == []


def saved(trace, folder):
    path = folder / "trace.html"
    path.write_text(page_of(trace), encoding="utf-8")
    return path


QUICK = {
    "timm:crossvit_tiny_240": [dict(img_size=192), dict(img_size=480), dict(num_classes=3)],
    "timm:vit_tiny_patch16_224": [dict(img_size=96), dict(img_size="64x128", embed_dim=96), dict(num_heads=4)],
    "hf:ViTConfig": [dict(hidden_size=96, num_attention_heads=4), dict(image_size=64)],
}

MANY = {
    "": [dict(image_size=64), dict(dim=128, heads=2), dict(patch_size=16), dict(mlp_dim=99, num_classes=7)],
    "timm:swin_tiny_patch4_window7_224": [dict(img_size=448), dict(embed_dim=48), dict(num_classes=9)],
}
if EVERYTHING:
    MORE = "timm:eva02_tiny_patch14_224 timm:cait_xxs24_224 timm:xcit_nano_12_p16_224 timm:hiera_tiny_224 \
timm:maxvit_pico_rw_256 timm:levit_128s timm:beit_base_patch16_224 timm:mixer_s32_224".split()
    MANY |= {one: [dict(img_size=192), dict(num_classes=3), dict(in_chans=1), dict(batch_size=3)] for one in MORE}
    MANY |= {
        "timm:vit_base_patch16_224": [dict(img_size=384), dict(patch_size=32), dict(embed_dim=384, num_heads=6)],
        "hf:SegformerConfig": [(dict(H=128, W=128), dict(image_size=128)), dict(num_channels=1)],
        "timm:pvt_v2_b0": [(dict(H=192, W=192), dict(image_size=192)), dict(num_classes=3), dict(in_chans=1)],
        "timm:deit3_small_patch16_224": [dict(img_size=112), dict(num_classes=10), dict(in_chans=1)],
        "timm:vit_small_patch14_reg4_dinov2": [dict(img_size=224), dict(embed_dim=192)],
        "torchvision:vit_b_16": [dict(image_size=96), dict(num_classes=7), dict(mlp_dim=100)],
        "hf:SwinConfig": [dict(image_size=448), dict(embed_dim=48)],
    }
    MANY |= {"hf:DeiTConfig": [dict(image_size=96)], "hf:VideoMAEConfig": [dict(num_frames=8), dict(image_size=96)]}


def compared(page, folder, spec, settings):
    """How many sizes the page gives at each of the settings; none may differ from a real trace there."""
    file, known = saved(vit_trace.trace(spec or None, formulas=True) if spec else reference(), folder), []
    for one in settings:
        one, real = one if isinstance(one, tuple) else (one, one)
        found, totals = shapes_at(page, file, one), totals_of(page)
        there = vit_trace.trace(spec, **real, formulas=False) if spec else reference(real)
        sizes = {size for texts in found.values() for text in texts for size in text.split("×")}
        if there.failure is not None or sizes <= {"?", "scalar"}:  # the page must not claim sizes
            assert sizes <= {"?", "scalar"}, one
            known.append(0)
            continue
        rows = {row.stage: row.shapes for row in outline(there).rows}
        stages, count = there.stages, 0
        for index, texts in found.items():
            real = [shape_text(made.shape) for made in rows.get(index, stages[index].outputs)]
            for text, wanted in zip(texts, real if texts else (), strict=True):  # a heading has none
                for size, other in zip(text.split("×"), wanted.split("×"), strict=True):
                    assert size in ("?", other), (spec, one, stages[index].name, text, wanted)
                    count += size != "?"
        batch = stages[0].outputs[0].shape[0]
        held = there.totals
        real = f"{held.parameters:,}", bytes_text(held.parameter_bytes), compact(held.flops // batch)
        for said, wanted in zip(totals, real, strict=True):
            assert said in ("?", wanted), (spec, one, totals, real)
        known.append(count)
    return known


def reference(settings=None):
    from vit_trace.diagnose.diagnose import diagnosed
    from vit_trace.diagnose.resolve import targeted
    from vit_trace.targets.request import Request

    return diagnosed(targeted(None, Request({name: str(value) for name, value in (settings or {}).items()})))


@pytest.mark.parametrize("spec", QUICK)
def test_sizes_at_other_settings_are_those_of_a_real_trace(spec, page, tmp_path):
    assert all(count > 60 or not count for count in compared(page, tmp_path, spec, QUICK[spec]))


def told(page):
    return page.inner_text("#told")


def said_of(page, file, settings):
    found = shapes_at(page, file, settings)
    assert all(set(text) <= {"?", "×"} for texts in found.values() for text in texts)
    return told(page)


def test_values_that_do_not_run_are_said_with_the_nearest_that_do(page, tmp_path):
    file = saved(vit_trace.trace("timm:vit_tiny_patch16_224", depth=1), tmp_path)
    assert ["2×36×192"] in shapes_at(page, file, dict(img_size="100")).values()  # as torch has it: 6 = 100 // 16
    assert told(page).startswith("pixels are left out: H = 100 is not a multiple of p = 16")
    page.click("#told button:first-of-type")  # both sides, as they are equal
    assert told(page) == "" and page.input_value("[data-k=W]") == "96"
    page.check("#apart")
    page.fill("[data-k=W]", "128")
    assert told(page) == "" and page.url.endswith("#H=96&W=128")
    assert "2×48×192" in page.inner_text("#stages")  # 96/16 · 128/16
    assert "no size here follows" in said_of(page, file, dict(depht=3))
    page.click("#reset")
    assert "#" not in page.url and "2×197×192" in page.inner_text("#stages")
    assert page.locator("[data-k=depth]").count() == 0  # of one layer is not seen which stages repeat
    page.fill("[data-k=heads]", "5")
    assert "dim = 192 is not a multiple of heads = 5" in told(page) and "heads 4" in told(page)


@pytest.mark.parametrize(
    ("spec", "settings", "name"),
    [
        ("hf:ViTConfig", dict(hidden_size=48, num_attention_heads=4), "num_hidden_layers"),
        ("timm:cait_xxs24_224", dict(depth=6, embed_dim=48, num_heads=4), "depth"),  # a block has parameters of its own
    ],
)
def test_layers_are_counted(page, tmp_path, spec, settings, name):
    """More and fewer of them than were traced: rows, their labels and the totals are those of a real trace."""
    file = saved(vit_trace.trace(spec, **settings), tmp_path)
    for depth in (7, 30):
        real = vit_trace.trace(spec, **{**settings, name: depth})
        found, totals = shapes_at(page, file, {name: depth}), totals_of(page)
        shown = [row for row in outline(real).rows if row.stage is not None]
        assert [[] if row.heading else [shape_text(one.shape) for one in row.shapes] for row in shown] == [
            *found.values()
        ]
        held = real.totals
        assert totals == [f"{held.parameters:,}", bytes_text(held.parameter_bytes), compact(held.flops // 2)]
        assert f"s.0…{depth - 1} ×{depth}" in page.inner_text("#stages")
        assert f"×{depth}" in page.inner_text("#flow")
    assert "are known to be equal from" in said_of(page, file, dict(depth=1))


def test_rows_fold_and_are_found(page, tmp_path):
    page.goto(f"file://{saved(vit_trace.trace('timm:vit_tiny_patch16_224', depth=2), tmp_path)}")
    seen = lambda: page.locator("#stages tbody tr:visible").count()  # noqa: E731
    whole = seen()
    page.click("#close")
    top = page.locator("#stages tbody tr[data-l='0']").count()
    assert seen() == top < whole
    page.fill("#search", "softmax")
    assert page.inner_text("#found") == "0 found"
    page.fill("#search", "fc1")
    assert page.inner_text("#found") == "1 found" and seen() == 3  # with the headings above it
    page.fill("#search", "")
    page.click("#open")
    assert seen() == whole
    page.locator("button.fold").first.focus()
    page.keyboard.press("Enter")
    assert seen() < whole


def test_stages_and_source_lines_lead_to_each_other(page, tmp_path):
    page.goto(f"file://{saved(vit_trace.trace('timm:vit_tiny_patch16_224', depth=1), tmp_path)}")
    page.click("#stages a >> nth=3")
    line = page.locator(".ran:target")
    assert line.count() == 1
    line.locator("a").first.click()
    assert page.locator("#stages tr:target").count() == 1


@pytest.mark.slow
@pytest.mark.parametrize("spec", MANY)
def test_sizes_of_many_models(spec, page, tmp_path):
    assert compared(page, tmp_path, spec, MANY[spec])


def test_a_page_of_too_many_rows_folds_and_says_so():
    trace = reference(dict(depth=400, dim=16, heads=2, dim_head=4, mlp_dim=16, num_classes=3))
    whole, few = page_of(trace, Screen(fold=False)), page_of(reference(dict(depth=3)), Screen(fold=False))
    assert len(whole) < 200_000 and "Equal blocks are shown once" in whole and "Equal blocks" not in few

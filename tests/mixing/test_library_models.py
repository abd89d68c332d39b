"""Models of libraries: what is warned of them is true, for the reason beside it; published models give no other."""

import pytest

from vit_trace.diagnose.diagnose import diagnosed
from vit_trace.diagnose.resolve import targeted
from vit_trace.targets.complaints import contained
from vit_trace.targets.request import Request

REASONS = {
    "timm:nest_tiny": {"head-layout": "permute(0, 2, 3, 4, 1) before the reshape puts heads last: (d h), cut as (h d)"},
    "timm:mvitv2_tiny": {},
    "timm:pit_ti_224": {},
    "timm:convit_tiny": {},
    "timm:coatnet_nano_rw_224": {},
    "hf:VivitModel": {},
}
"""Models whose warnings were looked into -> the code of each, and why it is true."""


@pytest.mark.slow
@pytest.mark.parametrize("spec", REASONS)
def test_a_library_is_warned_of_what_is_true(spec):
    pytest.importorskip({"hf": "transformers"}.get(spec.split(":")[0], spec.split(":")[0]))
    with contained():
        trace = diagnosed(targeted(spec, Request()))
    assert {one.code for one in trace.diagnostics if one.severity == "warning"} == set(REASONS[spec])

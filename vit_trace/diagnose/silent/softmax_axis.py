"""Finds attention weights that sum to one over another axis than the one that is summed over next."""

from collections.abc import Iterator

from vit_trace.base.trace import Trace
from vit_trace.diagnose.silent import MakeCase, Mistake, silent_mistake


@silent_mistake("softmax-axis")
def softmax_axis(trace: Trace, case: MakeCase) -> Iterator[Mistake]:
    """softmax makes weights that sum to one over one axis, and the values are then summed over another.
    Attention weights sum to one over the keys, the axis that the product with the values sums over: softmax(dim=-1) of
    b × heads × queries × keys. Over another axis the sizes are right, and each query gets a sum of any weight.
    """
    from vit_trace.mixing.attention import softmaxes

    measured = case().measured
    seen = set()
    for event, product, axis, summed in softmaxes(measured) if measured is not None else ():
        assert measured is not None
        stage, after = measured.stage(event), measured.stage(product)
        place = (stage.source.file, stage.source.line) if stage.source else stage.name
        if place not in seen:
            seen.add(place)
            note = f"{after.name} sums over axis {summed} of these weights, and they do not sum to one there"
            yield Mistake(f"{stage.name} is softmax over axis {axis}, not over the keys", stage.source, (note,))

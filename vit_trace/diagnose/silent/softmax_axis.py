"""Finds attention weights that sum to one over another axis than the one that is summed over next."""

from collections.abc import Iterator

from vit_trace.base.trace import Trace
from vit_trace.diagnose.silent import MakeCase, Mistake, once_a_line, silent_mistake


@silent_mistake("softmax-axis")
def softmax_axis(trace: Trace, case: MakeCase) -> Iterator[Mistake]:
    """softmax makes weights that sum to one over one axis, and the values are then summed over another.
    Attention weights sum to one over the keys, the axis that the product with the values sums over: softmax(dim=-1) of
    b × heads × queries × keys. Over another axis the sizes are right, and each query gets a sum of any weight. A mask
    that is the same for every key, such as padding[:, None, :, None], masks queries in place of keys.
    """
    from vit_trace.mixing.attention import masks_of_queries, of_one_score, softmaxes

    measured = case().measured
    if measured is None:
        return
    for event, product, axis, summed in once_a_line(softmaxes(measured), lambda one: measured.stage(one[0])):
        stage, after = measured.stage(event), measured.stage(product)
        note = f"{after.name} sums over axis {summed} of these weights, and they do not sum to one there"
        if summed is None:
            note = f"{after.name} multiplies by these weights, and nothing sums over the axis where they sum to one"
        yield Mistake(f"{stage.name} is softmax over axis {axis}, not over the keys", stage.source, (note,))
    for event in once_a_line(of_one_score(measured), measured.stage):
        note = "a softmax over one value is always 1: these weights learn nothing"
        yield Mistake(f"{measured.stage(event).name} is softmax over one score", measured.source(event), (note,))
    for event in once_a_line(masks_of_queries(measured), measured.stage):
        note = "softmax over keys that are all masked weighs them alike, and keys that ought to be masked are not"
        yield Mistake(f"{measured.stage(event).name} masks whole queries, not keys", measured.source(event), (note,))

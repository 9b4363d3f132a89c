"""A classifier behind a flow, as one network of base points; modules of any kind that can be read."""

from __future__ import annotations

import torch
from torch import nn

from polytope.errors import LoadError, NotPiecewiseLinearError
from polytope.flows.exact.composition import compose
from polytope.flows.exact.lowering import checked_flow, checked_piecewise_linear
from polytope.flows.flow import Flow
from polytope.flows.layers.conditioner import conditioner_network
from polytope.given import described, traced
from polytope.ir import Layer, Network, stack
from polytope.ir.algebra import identity


def behind_flow(classifier: Network | nn.Module, flow: Flow, who: str, *, data_too: bool = False) -> Network:
    """The classifier's network behind the flow's, as a function of base points.

    Arguments:
        classifier: a network, or a torch module of any number type and on any device.
        flow: piecewise linear.
        who: what errors call it.
        data_too: whether the data points follow the classifier's outputs.

    Raises:
        NotPiecewiseLinearError: one of them is not piecewise linear.
        LoadError: the module cannot be read.
        ValueError: they do not fit.
        TypeError: the classifier is neither.
    """
    network = checked_piecewise_linear(flow, who)
    classifier = classifier_network(classifier, flow, who)
    if data_too:
        same = Layer((0,), (identity(flow.dim),), torch.zeros(flow.dim, dtype=torch.float64).numpy())
        classifier = stack(classifier, Network((flow.dim,), (same,)))
    return compose([network, classifier])


def classifier_network(classifier: Network | nn.Module, flow: Flow, who: str) -> Network:
    """The classifier alone, which fits the flow; arguments and errors as above."""
    checked_flow(flow, who)
    if not isinstance(classifier, Network):
        if not isinstance(classifier, nn.Module):
            raise TypeError(
                f"{who}: the classifier must be a Network or a torch module, not {described(classifier)}."
            )
        classifier = _read(classifier, flow)
    if classifier.input_dim != flow.dim:
        raise ValueError(
            f"{who}: the classifier reads R^{classifier.input_dim}, the flow makes R^{flow.dim}."
        )
    return classifier


def _read(module: nn.Module, flow: Flow) -> Network:
    """The network of a module: of simple parts as they are, else by tracing it on one point."""
    try:
        return conditioner_network(module, flow.dim)
    except (NotPiecewiseLinearError, ValueError):  # of other parts, or of images
        pass
    like = next(module.parameters(), torch.zeros(1))
    shapes = list(dict.fromkeys([flow.shape, (flow.dim,)]))
    for shape in shapes:
        try:
            return traced(module, torch.zeros(1, *shape).to(like))
        except LoadError:
            if shape == shapes[-1]:
                raise
    raise AssertionError("there is a shape")

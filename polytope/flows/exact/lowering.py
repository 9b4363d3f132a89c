"""From a flow to the network that it computes, in either direction."""

from __future__ import annotations

from polytope.errors import NotPiecewiseLinearError
from polytope.flows.exact.composition import compose
from polytope.flows.flow import Flow
from polytope.flows.layers.bijection import Direction
from polytope.flows.layers.couplings import AffineCoupling
from polytope.ir import Network


def lower(flow: Flow, direction: Direction = "forward") -> Network:
    """The flow as a piecewise-linear network, the same function up to the rounding of its weights.

    What is called exact of a flow is so about this network.

    Arguments:
        flow: of piecewise-linear layers: additive couplings with ReLU-type conditioners, permutations, LU and
            1x1 convolutions, ActNorm, squeezes, splits, monotone linear splines.
        direction: "forward" (base to data) or "inverse" (data to base).

    Raises:
        NotPiecewiseLinearError: a layer is not; the message names it.
        FlowError: a layer is singular.
        TypeError: it is no flow.
        ValueError: there is no such direction.

    Example:
        >>> from polytope import flows
        >>> net = flows.lower(flows.nice(2))
        >>> net.input_dim, net.output_dim
        (2, 2)
    """
    checked_flow(flow, "lower")
    if direction not in ("forward", "inverse"):
        raise ValueError(
            "lower: direction must be 'forward' (base to data) or 'inverse' (data to base), "
            f"not {direction!r}."
        )
    return flow.network(direction)


def first_coupling_network(flow: Flow) -> Network:
    """The conditioners of the first affine coupling as functions of the base point: scales, then shifts.

    On a region of this network the layers up to that coupling have smooth conditioners (affine ones, but for
    bounded ends such as tanh). Behind it walls are curved, and there are no polytopes.

    Arguments:
        flow: with an affine coupling among its layers, and piecewise-linear layers in front of it.

    Returns:
        The network, from R^D to the outputs of both conditioners.

    Raises:
        ValueError: there is no affine coupling at the top level: ``lower`` gives the whole flow.
        NotPiecewiseLinearError: a layer in front of it, or a conditioner, is not piecewise linear.
        TypeError: it is no flow.
    """
    checked_flow(flow, "first_coupling_network")
    before: list[Network] = []
    for layer in flow.ordered:
        if isinstance(layer, AffineCoupling):
            return compose([*before, layer.conditioners()])
        before.append(layer.network("forward"))
    raise ValueError("first_coupling_network: the flow has no affine coupling; lower(flow) gives all of it.")


def checked_flow(flow: Flow, who: str) -> Flow:
    """The flow, if it is one.

    Raises:
        TypeError: it is something else.
    """
    if isinstance(flow, Flow):
        return flow
    hint = (
        "it is lowered inside; give the flow itself."
        if isinstance(flow, Network)
        else "see flows.from_zuko and flows.from_normflows for flows of other libraries."
    )
    raise TypeError(f"{who}: expected a flows.Flow, not {type(flow).__name__}; {hint}")


def checked_piecewise_linear(flow: Flow, who: str) -> Network:
    """The network from base to data of a piecewise-linear flow.

    Raises:
        NotPiecewiseLinearError: it is not, and has no such regions.
    """
    try:
        return lower(checked_flow(flow, who))
    except NotPiecewiseLinearError as error:
        raise NotPiecewiseLinearError(
            f"{who} needs the regions of a piecewise-linear flow. {error}"
        ) from error

"""The one tree of errors: what the library raises and what each kind means.

PolytopeError
├── LoadError                    a model file or module could not become a Network
│   ├── UnsupportedOpError       an operator, or a variant of one, that is not supported
│   ├── NotPiecewiseLinearError  an operator that is not piecewise affine
│   ├── ImportMismatchError      the converted network computes something else than the model
│   ├── UnsafeFileError          the file asks for code, or for data outside its folder
│   └── CorruptFileError         the file is broken, empty, or not what its name says
├── GeometryError
│   ├── EmptyDomainError         a domain without interior
│   └── UnboundedDomainError     a bounded set was needed
├── IncompleteComplexError       a question that only a complete enumeration can answer
├── FlowError                    a flow is not invertible there, or its training diverged
├── SymmetryError                the network does not have the symmetry that the question needs
├── SolverError                  the linear-programming solver gave no answer
├── CertificateError             a certificate does not prove what it claims
└── InternalError                a defect of this library, never the caller's fault

Wrong arguments are ``ValueError`` or ``TypeError``. Running out of a budget is not an error: the
result then says ``complete=False``.
"""

from dis import opmap


class PolytopeError(Exception):
    """Base of every error that this library raises on purpose."""


class LoadError(PolytopeError):
    """A model could not be turned into a Network."""


class UnsupportedOpError(LoadError):
    """The model uses an operator, or a variant of one, that is not supported."""


class NotPiecewiseLinearError(LoadError):
    """The model is not piecewise affine in its input."""


class ImportMismatchError(LoadError):
    """The converted network and the model disagree on some input."""


class UnsafeFileError(LoadError):
    """The file asks for something that a model file must not do."""


class CorruptFileError(LoadError):
    """The file is broken, empty, or not of the kind that its name says."""


class GeometryError(PolytopeError):
    """A geometric question without an answer."""


class EmptyDomainError(GeometryError):
    """The domain has no interior."""


class UnboundedDomainError(GeometryError):
    """The question needs a bounded set."""


class IncompleteComplexError(PolytopeError):
    """The question needs a complete enumeration, and this one was stopped by a budget."""


class FlowError(PolytopeError):
    """A flow is not invertible where it was asked, or its training diverged."""


class SymmetryError(PolytopeError):
    """The network does not have the symmetry that the question needs."""


class SolverError(PolytopeError):
    """The linear-programming solver ended without an answer."""


class CertificateError(PolytopeError):
    """A certificate does not prove what it claims."""


class InternalError(PolytopeError):
    """This library broke an assumption of its own: please report it."""


def is_deliberate(error: BaseException) -> bool:
    """Whether a ``raise`` of this library raised an error; Python and numpy raise only where we erred."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None:
        return False
    package = last.tb_frame.f_globals.get("__name__", "").partition(".")[0]
    raises = last.tb_frame.f_code.co_code[last.tb_lasti] == opmap["RAISE_VARARGS"]
    return package in ("polytope", "adapters") and raises

r"""Many arrays as one argument of compiled functions: a handle is a pointer to a table of arrays.

A tuple of forty arrays is three hundred machine arguments for every call, and minutes of compilation. A
handle is one, and reading a field builds the array from the table. Tables do not change while compiled
code runs, so the loads are marked invariant.
"""
# mypy: disable-error-code="misc,no-untyped-def,no-untyped-call,untyped-decorator,no-any-return,call-arg"
# mypy: disable-error-code="var-annotated,assignment,import-untyped,override,call-overload,attr-defined"

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core.imputils import impl_ret_borrowed
from numba.core.typing.templates import AttributeTemplate
from numba.extending import (
    NativeValue,
    infer_getattr,
    lower_getattr_generic,
    models,
    register_model,
    typeof_impl,
    unbox,
)
from numpy.typing import NDArray

KINDS = {
    "f": types.float64,
    "i": types.int64,
    "b": types.int8,
    "w": types.int32,
    "u": types.uint64,
}
DTYPES = {"f": np.float64, "i": np.int64, "b": np.int8, "w": np.int32, "u": np.uint64}


class Handle:
    """Named arrays of fixed kinds behind one address; ``fields`` maps a name to kind and dimension."""

    fields: ClassVar[dict[str, tuple[str, int]]] = {}

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.table = np.zeros((len(self.fields), 3), dtype=np.int64)
        self.address = int(self.table.ctypes.data)
        for name in self.fields:
            self.put(name, arrays[name])

    def put(self, name: str, array: NDArray[Any]) -> None:
        """Set or replace one array."""
        kind, ndim = self.fields[name]
        array = np.ascontiguousarray(array, dtype=DTYPES[kind])
        assert array.ndim == ndim, name
        setattr(self, name, array)
        row = self.table[_places(tuple(self.fields))[name]]
        row[0] = array.__array_interface__["data"][0]
        row[1 : 1 + ndim] = array.shape

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


@cache
def _places(names: tuple[str, ...]) -> dict[str, int]:
    """Where the fields of a class of handles stand in its table."""
    return {name: place for place, name in enumerate(names)}


class HandleType(types.Type):
    """The compiled type of one class of handles."""

    def __init__(self, name: str, fields: tuple[tuple[str, str, int], ...]) -> None:
        super().__init__(name=f"Handle_{name}")
        self.fields = fields

    def array(self, attr: str) -> tuple[int, types.Array]:
        """Place and array type of a field."""
        for place, (name, kind, ndim) in enumerate(self.fields):
            if name == attr:
                return place, types.Array(KINDS[kind], ndim, "C")
        raise AttributeError(attr)


@cache
def sources_digest() -> str:
    """A name for the present state of the compiled code.

    It is part of every handle's type: caches of compiled functions look at one file each, and would go on
    using code that was compiled against another file's older state.
    """
    folder = Path(__file__).parent
    sources = [*sorted(folder.glob("kernels*.py")), folder / "flat_network.py"]
    return sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]


@typeof_impl.register(Handle)
def _typeof(value, c):
    return _type_of(type(value).__name__, tuple(value.fields.items()))


@cache
def _type_of(name, items):
    fields = tuple((field, kind, ndim) for field, (kind, ndim) in items)
    return HandleType(f"{name}_{sources_digest()}", fields)


@register_model(HandleType)
class _Model(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, ir.IntType(64).as_pointer())


@unbox(HandleType)
def _unbox(typ, value, c):
    address = c.pyapi.object_getattr_string(value, "address")
    number = c.pyapi.long_as_longlong(address)
    c.pyapi.decref(address)
    return NativeValue(c.builder.inttoptr(number, ir.IntType(64).as_pointer()))


@infer_getattr
class _Fields(AttributeTemplate):
    key = HandleType

    def generic_resolve(self, typ, attr):
        return typ.array(attr)[1]


@lower_getattr_generic(HandleType)
def _field(context, builder, typ, value, attr):
    place, array_type = typ.array(attr)
    empty = builder.module.add_metadata([])

    def load(i):
        pointer = builder.gep(value, [ir.Constant(ir.IntType(64), 3 * place + i)])
        word = builder.load(pointer)
        word.set_metadata("invariant.load", empty)
        return word

    array = context.make_array(array_type)(context, builder)
    data = builder.inttoptr(load(0), array.data.type)
    itemsize = ir.Constant(ir.IntType(64), context.get_abi_sizeof(context.get_data_type(array_type.dtype)))
    shape = [load(1 + i) for i in range(array_type.ndim)]
    strides = [itemsize] if array_type.ndim == 1 else [builder.mul(shape[1], itemsize), itemsize]
    context.populate_array(array, data=data, shape=shape, strides=strides, itemsize=itemsize, meminfo=None)
    return impl_ret_borrowed(context, builder, array_type, array._getvalue())


def kernel(function=None, **options):
    """Compile lazily, cached, without the interpreter's lock and without reference counts."""
    wrap = njit(cache=True, nogil=True, _nrt=False, **options)
    return wrap if function is None else wrap(function)

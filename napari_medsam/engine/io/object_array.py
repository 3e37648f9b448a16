"""Lists of records that numpy pickled into a file, read without running anything the file says.

A pickle is a program. The challenge's ``boxes`` are an array of dicts, which numpy can only store as one, so refusing
them would refuse the format. Here the program is run by an unpickler that knows five names, all of numpy; each stands
for a small class below that only keeps what it is given. Any other name, and so any call, is refused.
"""

from __future__ import annotations

import io
import pickle
from typing import Any, ClassVar

import numpy as np

from napari_medsam.engine.errors import ImageError


def read_objects(data: bytes, name: str) -> list[dict[str, Any]]:
    """The dicts of a pickled one-dimensional numpy array of dicts.

    Raises
    ------
    ImageError
        If the pickle is damaged, holds anything but numbers, text, lists and dicts, or names code to run.
    """
    try:
        array = _Unpickler(io.BytesIO(data)).load()
        records = array.items if isinstance(array, _Array) else None
    except ImageError:
        raise
    # A damaged pickle can fail in any way, from any opcode.
    except Exception as error:
        raise ImageError(f"The records in {name} are damaged and cannot be read.") from error
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise ImageError(f"The records in {name} are not a list of named numbers.")
    return records


class _DType:
    """Keeps the name of a numpy type; the state that numpy gives it adds only byte order and flags."""

    _PLAIN: ClassVar = frozenset({"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "O8"})

    def __init__(self, text: str, *_flags: Any) -> None:
        if text not in self._PLAIN:
            raise ValueError(text)
        self.text = text
        self.order = "<"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = ">" if state[1] == ">" else "<"


class _Array:
    """Keeps the elements of an array of objects."""

    items: list[Any] | None = None

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, _shape, dtype, _fortran, items = state
        if isinstance(dtype, _DType) and dtype.text == "O8":
            self.items = items


class _Scalar:
    """Becomes the Python number that a numpy scalar holds."""

    def __new__(cls, dtype: _DType, data: bytes) -> Any:
        if dtype.text == "O8":
            raise ValueError(dtype.text)
        return np.frombuffer(data, dtype.order + dtype.text, count=1)[0].item()

    def __setstate__(self, _state: Any) -> None:
        # Without this method a pickle could set attributes of the class itself.
        raise ValueError("a number has no state")


class _Unpickler(pickle.Unpickler):
    _KNOWN: ClassVar[dict[tuple[str, str], Any]] = {
        ("numpy", "ndarray"): object,
        ("numpy", "dtype"): _DType,
        # numpy 1 and numpy 2 name the same functions differently.
        ("numpy.core.multiarray", "_reconstruct"): _Array,
        ("numpy._core.multiarray", "_reconstruct"): _Array,
        ("numpy.core.multiarray", "scalar"): _Scalar,
        ("numpy._core.multiarray", "scalar"): _Scalar,
    }

    def find_class(self, module_name: str, global_name: str) -> Any:
        try:
            return self._KNOWN[module_name, global_name]
        except KeyError:
            raise ImageError(
                f"The file asks for {module_name}.{global_name} to be run; nothing is ever run from a file, so it is "
                "refused."
            ) from None

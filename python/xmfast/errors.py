"""Every exception of xmfast.

::

    XmfastError
    ├── InputError (ValueError)           a value that cannot be; names frame, column, row and account
    │   ├── ColumnError (TypeError)       a column that is missing, unexpected, or of the wrong type or length
    │   ├── DuplicateError                two rows where one is allowed
    │   ├── FileError                     a file that is empty, damaged, or not what its name says
    │   ├── RefusedError                  an event that the engine's state does not allow
    │   │   └── OrderRefusedError         an order that does not pass its check
    │   ├── ParameterError                a model parameter outside its bounds
    │   ├── UniverseMismatchError         objects of two universes in one call
    │   ├── UnknownIdError (KeyError)     an id that nobody has defined; names the close one
    │   ├── MissingPriceError (KeyError)  something held has no price
    │   └── MissingParameterError (KeyError)  something held has no row among the model's parameters
    ├── RangeError (OverflowError)        a result that 64-bit floating point cannot hold
    └── MissingExtraError (ImportError)   an optional package is not installed; names the extra
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xmfast.order_check import OrderCheck


class XmfastError(Exception):
    """Anything that xmfast refuses to do."""

    # KeyError would print its message in quotes.
    __str__ = Exception.__str__


class InputError(XmfastError, ValueError):
    """A value that no account, market or instrument can have."""


class ColumnError(InputError, TypeError):
    """A column that is missing, unexpected, of the wrong type or length, or holds a null."""


class DuplicateError(InputError):
    """Two rows where one is allowed."""


class FileError(InputError):
    """A file whose content cannot be read; one that is not there is an ``OSError``, as everywhere."""


class RefusedError(InputError):
    """An event of the live engine that is well formed, but that its state does not allow; nothing has changed."""


class OrderRefusedError(RefusedError):
    """An order that does not pass its check; ``check`` is the :class:`OrderCheck`."""

    def __init__(self, check: OrderCheck) -> None:
        self.check = check
        super().__init__(f"the order is refused: {check.reason.value}")


class ParameterError(InputError):
    """A model parameter outside its bounds."""


class UniverseMismatchError(InputError):
    """Objects that were built on two different universes."""


class UnknownIdError(InputError, KeyError):
    """An account, asset or instrument that is not known."""


class MissingPriceError(InputError, KeyError):
    """An asset or instrument that is held but has no price."""


class MissingParameterError(InputError, KeyError):
    """An instrument that is held but has no margin rates."""


class RangeError(XmfastError, OverflowError):
    """A result that 64-bit floating point cannot hold."""


class MissingExtraError(XmfastError, ImportError):
    """An optional package that is not installed; the message names the extra to install."""


for _class in list(globals().values()):
    if isinstance(_class, type) and issubclass(_class, XmfastError):
        # Users import them from the package, so tracebacks should say so.
        _class.__module__ = "xmfast"

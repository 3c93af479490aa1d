"""What can be wrong with an answer of the token endpoint that is a success all the same."""

import enum
from collections import Counter

from local.microsoft.directory import TENANT_ID

#: How much is left of a refresh token that is cut.
SHRUNK_LENGTH = 20
#: The tenant of tokens that are another tenant's.
OTHER_TENANT = TENANT_ID.replace("5", "9")


class Mischief(enum.Enum):
    """What can be wrong. The values are the control's instructions."""

    #: The refresh token that answers a refresh is cut to its first characters.
    SHRUNK_REFRESH_TOKEN = "shrink_refresh_token"
    #: There is no refresh token, though there should be.
    NO_REFRESH_TOKEN = "omit_refresh_token"
    #: The permission to send is not granted, though it was asked for.
    LESS = "grant_less"
    #: The access token is for Graph.
    AUDIENCE = "wrong_audience"
    #: The access token is of another tenant.
    TENANT = "wrong_tenant"


class Mischiefs:
    """With how many of the next answers what is wrong. One that it cannot be wrong with does not count."""

    def __init__(self) -> None:
        self._due: Counter[Mischief] = Counter()

    def order(self, mischief: Mischief, times: int) -> None:
        """Let it be wrong so many times; that replaces an order before."""
        self._due[mischief] = times

    def takes(self, mischief: Mischief) -> bool:
        """Tell whether it is to be wrong with the answer at hand, and count that."""
        if self._due[mischief] <= 0:
            return False
        self._due[mischief] -= 1
        return True

    def call_off(self) -> None:
        """Let nothing be wrong any more."""
        self._due.clear()

"""What the command's exit code says."""

from typing import Final

OK: Final = 0
SOME_FAILED: Final = 1
UNUSABLE: Final = 2
INTERRUPTED: Final = 130

"""The type of argparse's sub-command registry, which argparse keeps private."""

import argparse
from typing import TypeAlias

Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

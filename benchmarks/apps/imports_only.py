"""The service's modules, imported and not used. It prints the memory that this takes, in MiB."""

import importlib
import os

from tests import memory

if __name__ == "__main__":
    importlib.import_module("app.application")
    print(memory.resident(os.getpid()) / 1_048_576)

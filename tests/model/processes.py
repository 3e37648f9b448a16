"""Real processes that train or make pools, forked from one that has imported everything once."""

import multiprocessing
import os
from collections.abc import Mapping, Sequence
from importlib import import_module
from multiprocessing.process import BaseProcess
from types import MappingProxyType

import torch

_fresh = multiprocessing.get_context("forkserver")
_fresh.set_forkserver_preload(["processes", "pool", "train"])


def start(script: str, *arguments: str, environment: Mapping[str, str] = MappingProxyType({})) -> BaseProcess:
    """Call the ``main`` of a script of benchmarks/model in a process of its own."""
    process = _fresh.Process(target=_call, args=(script, arguments, dict(environment)))
    process.start()
    return process


def _call(script: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    os.environ.update(environment)
    torch.set_num_threads(1)
    import_module(script).main(list(arguments))

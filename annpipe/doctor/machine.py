"""Checks Python, torch with its devices, the memory and the installed packages that annpipe needs."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib import metadata
from typing import TYPE_CHECKING

from annpipe.doctor.finding import Finding
from annpipe.files.memory import machine_memory

if TYPE_CHECKING:
    import torch

NEEDED = "annpipe"
SMALL_MEMORY = 2 * 2**30  # bytes; torch and MLflow take about one GiB of it


def python_findings() -> Iterator[Finding]:
    """Python, annpipe, and whether the packages that annpipe needs are there in a version that fits."""
    version = platform.python_version()
    where = "" if sys.prefix != sys.base_prefix else ", in no virtual environment"
    yield Finding("python", f"{version} on {platform.system()} {platform.machine()}{where}, {sys.executable}")
    yield Finding("annpipe", metadata.version(NEEDED))
    yield from _packages(metadata.requires(NEEDED) or [])


def _packages(requirements: list[str]) -> Iterator[Finding]:
    from packaging.requirements import Requirement

    unfit = []
    needed = [item for text in requirements if (item := Requirement(text)).marker is None or item.marker.evaluate()]
    for item in needed:
        try:
            version = metadata.version(item.name)
        except metadata.PackageNotFoundError:
            unfit.append(f"{item.name} is missing")
            continue
        if not item.specifier.contains(version, prereleases=True):
            unfit.append(f"{item.name} {version} does not fit {item.specifier}")
    if unfit:
        yield Finding("packages", "; ".join(unfit), "fault", "install annpipe again: `pip install --upgrade annpipe`")
    else:
        yield Finding("packages", f"all {len(needed)} that annpipe needs are there")


def torch_findings() -> Iterator[Finding]:
    """Torch, what it computes on, and a sum on each device."""
    import torch

    from annpipe.backend.device import available_cores, processor

    cores = available_cores()
    text = f"{torch.__version__}, {cores} core{'s' * (cores != 1)} with {processor(torch.device('cpu'))}"
    yield Finding("torch", text)
    devices = [torch.device("cuda", number) for number in range(torch.cuda.device_count())]
    devices += [torch.device("mps")] if torch.backends.mps.is_available() else []
    for device in devices:
        yield _device(device)
    if not devices:
        yield Finding("device", "cpu: there is no accelerator that torch can use")
    has = machine_memory()
    if has is not None:
        small = has < SMALL_MEMORY
        remedy = "give the container more memory, or train smaller batches" if small else ""
        yield Finding("memory", f"{has / 2**30:,.1f} GiB", "warning" if small else "ok", remedy)


def _device(device: torch.device) -> Finding:
    import torch

    from annpipe.backend.device import processor

    try:
        total = float(torch.ones(8, device=device).sum())
    except (RuntimeError, AssertionError) as error:
        remedy = "install the torch build that fits the driver, or train with `--device cpu`"
        return Finding("device", f"{device} does not compute: {str(error).splitlines()[0]}", "fault", remedy)
    if total != 8.0:
        text = f"{device} computes wrongly: 8 ones add to {total}"
        return Finding("device", text, "fault", "train on another device")
    return Finding("device", f"{device}: {processor(device)}")

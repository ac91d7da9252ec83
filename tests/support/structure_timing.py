"""Prints what finding a structure costs: `PJRT_NPROC=1 python -m tests.support.structure_timing`."""

import time

import jax

from kernels.structure.discovery import discover
from tests.support.models.structure_models import census, genes, zeros


def main() -> None:
    for name, (target, data) in {"census": census(), "20,000 genes": genes(20_000)}.items():
        wall, cpu = time.perf_counter(), time.process_time()
        structure = discover(target, data, zeros(target), key=jax.random.key(0))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        levels = ", ".join(f"{level.name} {level.n_blocks} x {level.width}" for level in structure.levels)
        print(f"{name}: {wall:.2f} s, of which processor {cpu:.2f} s, compilation included; levels {levels}")  # noqa: T201


if __name__ == "__main__":
    main()

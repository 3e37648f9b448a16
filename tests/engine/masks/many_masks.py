"""The exactness tests on 20,000 random masks for each operation, or on as many as are asked for.

python tests/engine/masks/many_masks.py [COUNT]
"""

from __future__ import annotations

import sys
import time

from test_exactness import OPERATIONS, check, check_labels, check_scores

MANY = 20_000


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else MANY
    jobs = [(operation.__name__, lambda n, seed, op=operation: check(op, n, seed)) for operation in OPERATIONS]
    jobs += [("labels", check_labels), ("scores", check_scores)]
    for seed, (name, job) in enumerate(jobs, start=100):
        begun = time.perf_counter()
        job(count, seed)
        sys.stdout.write(f"{name}: {count} masks, all equal, {time.perf_counter() - begun:.0f} s\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

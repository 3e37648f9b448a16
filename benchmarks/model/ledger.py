"""The ledger: what each training learnt from, how long it took and what it reached, as tables in ``docs/model.md``.

    python benchmarks/model/ledger.py                                          # tables from docs/results/trainings
    python benchmarks/model/ledger.py runs/deep --scores volumes=scores.json   # a training scored by `evaluate` first

Scores are reports of ``napari-medsam evaluate --json``, named as in ``score.py``, which makes them all.
"""

import argparse
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from record import Record, read_record

DOCS = Path(__file__).resolve().parents[2] / "docs"
RESULTS = DOCS / "results" / "trainings"
PAGE = DOCS / "model.md"

SUMMARY = ("volumes", "slices", "pictures")
STEPS = ("box", "box+5", "click5")


@dataclass(frozen=True)
class Entry:
    """One training: its record (see `record`) and reports by what was scored."""

    record: Record
    scores: Mapping[str, Mapping[str, Any]]


def add_entry(entry: Entry) -> None:
    """Save an entry without the scores of single structures; what was scored before and not now stays."""
    path = RESULTS / f"{entry.record['name']}.json"
    old = json.loads(path.read_text(encoding="utf-8"))["scores"] if path.exists() else {}
    left_out = ("structures", "failures")
    new = {kind: {k: v for k, v in report.items() if k not in left_out} for kind, report in entry.scores.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"record": entry.record, "scores": {**old, **new}}, indent=1)
    path.write_text(text + "\n", encoding="utf-8")


def read_entries() -> list[Entry]:
    """All trainings, in the order in which they build on each other, then by name."""
    read = [json.loads(path.read_text(encoding="utf-8")) for path in RESULTS.glob("*.json")]
    entries = [Entry(item["record"], item["scores"]) for item in read]
    return sorted(entries, key=lambda entry: (len(list(lineage(entry.record))), entry.record["name"]))


def lineage(record: Record) -> Iterator[Record]:
    """A record, that of the training it started from, and so on."""
    while record:
        yield record
        record = record.get("start") or {}


def write_tables() -> None:
    """Put the tables of all entries between their marks in ``docs/model.md``."""
    text = PAGE.read_text(encoding="utf-8")
    entries = read_entries()
    for name, table in (
        ("trainings", _trainings(entries)),
        ("datasets", _datasets(entries)),
        ("prompts", _prompts(entries)),
    ):
        start, end = f"<!-- {name}: made by benchmarks/model/ledger.py -->", f"<!-- end of {name} -->"
        before, rest = text.split(start)
        text = f"{before}{start}\n\n{table}\n\n{end}{rest.split(end)[1]}"
    PAGE.write_text(text, encoding="utf-8")


def _trainings(entries: Sequence[Entry]) -> str:
    head = ["training", "from", "data", "steps", "hours", "machine"]
    head += [f"{kind}: {', '.join(STEPS)}" for kind in SUMMARY]
    rows = []
    for entry in entries:
        record = entry.record
        data = record.get("data", {})
        patches = f"{data['patches']} patches of {data['cells']} cells" if "patches" in data else ""
        means = [entry.scores.get(kind, {}).get("mean_over_datasets", {}) for kind in SUMMARY]
        rows.append(
            [
                record["name"],
                (record.get("start") or {}).get("name", "nothing"),
                f"{_pools(data.get('pool', ''))}{': ' if patches else ''}{patches}",
                str(record["steps"]),
                f"{sum(record['hours'].values()):.1f}",
                "; ".join(machine for machine, hours in record["hours"].items() if hours > 0),
                *(", ".join(_score(mean.get(step)) for step in STEPS) for mean in means),
            ]
        )
    return _table(head, rows)


def _pools(joined: str) -> str:
    """Pools that patches are drawn from, those named several times once, with their number."""
    counts = Counter(joined.split(" and "))
    return ", ".join(name if n == 1 else f"{name} x {n}" for name, n in counts.items())


def _datasets(entries: Sequence[Entry]) -> str:
    """A table for each kind of image, a line for each training, a column for each dataset."""
    tables = []
    for kind in SUMMARY:
        scored = {entry.record["name"]: entry.scores[kind]["datasets"] for entry in entries if kind in entry.scores}
        names = list(dict.fromkeys(name for datasets in scored.values() for name in datasets))
        if not names:
            continue
        first = {name: next(datasets[name] for datasets in scored.values() if name in datasets) for name in names}
        rows = [["the ellipsoid in the box", *(_score(first[name].get("ellipsoid")) for name in names)]]
        for training, datasets in scored.items():
            scores = [datasets.get(name, {}) for name in names]
            rows.append([training, *(", ".join(_score(score.get(step)) for step in STEPS) for score in scores)])
        tables.append(_table([kind.capitalize(), *(f"{name} ({first[name]['count']})" for name in names)], rows))
    return "\n\n".join(tables)


def _prompts(entries: Sequence[Entry]) -> str:
    """Each kind of prompt in a line, for the last training asked so; then all trainings, a table for each of images."""
    asked = {kind: f"{kind}, each prompt" for kind in SUMMARY}
    scored = [entry for entry in entries if any(name in entry.scores for name in asked.values())]
    if not scored:
        return ""
    last = scored[-1]
    kinds = [kind for kind in SUMMARY if asked[kind] in last.scores]
    protocols = list(last.scores[asked[kinds[0]]]["protocols"].values())
    rows = [
        [f"{p['title']}: {', '.join(p['steps'])}"] + [_steps(last, asked[kind], p) for kind in kinds] for p in protocols
    ]
    tables = [_table([f"{last.record['name']}: prompt", *kinds], rows)]
    for kind, name in asked.items():
        rows = [
            [entry.record["name"], *(_steps(entry, name, protocol) for protocol in protocols)]
            for entry in scored
            if name in entry.scores
        ]
        if rows:
            tables.append(_table([kind.capitalize(), *(protocol["title"] for protocol in protocols)], rows))
    return "\n\n".join(tables)


def _steps(entry: Entry, kind: str, protocol: Mapping[str, Any]) -> str:
    mean = entry.scores[kind]["mean_over_datasets"]
    return ", ".join(_score(mean.get(step)) for step in protocol["steps"])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("training", type=Path, nargs="?")
    parser.add_argument("--scores", nargs="+", default=[], metavar="KIND=FILE")
    args = parser.parse_args(argv)
    if args.training:
        named = dict(item.split("=", 1) for item in args.scores)
        scores = {kind: json.loads(Path(file).read_text(encoding="utf-8")) for kind, file in named.items()}
        add_entry(Entry(read_record(args.training), scores))
    write_tables()


if __name__ == "__main__":
    main()

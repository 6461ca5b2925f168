"""Reads a page of metrics as Prometheus's own Python client does, and says what is on it.

    metrics.py < PAGE

Prints a JSON object: by metric, its type and the labels that its samples have.
"""

import json
import sys

from prometheus_client.parser import text_string_to_metric_families


def name(family):
    # Its families of counters are called without their suffix.
    return family.name + "_total" if family.type == "counter" else family.name


def check_histogram(family):
    """The buckets of each series only grow, end with +Inf, and that is its count."""
    buckets, counts = {}, {}
    for sample in family.samples:
        series = tuple(sorted((k, v) for k, v in sample.labels.items() if k != "le"))
        if sample.name.endswith("_bucket"):
            buckets.setdefault(series, []).append((float(sample.labels["le"]), sample.value))
        elif sample.name.endswith("_count"):
            counts[series] = sample.value
    assert buckets.keys() == counts.keys(), family.name
    for series, of_series in buckets.items():
        bounds, values = zip(*of_series)
        assert list(bounds) == sorted(set(bounds)), (family.name, series)
        assert list(values) == sorted(values), (family.name, series)
        assert bounds[-1] == float("inf") and values[-1] == counts[series], (family.name, series)


found, seen = {}, set()
for family in text_string_to_metric_families(sys.stdin.read()):
    assert family.type != "unknown" and family.documentation, family.name
    assert name(family) not in found, family.name
    if family.type == "histogram":
        check_histogram(family)
    for sample in family.samples:
        series = (sample.name, tuple(sorted(sample.labels.items())))
        assert series not in seen, series
        seen.add(series)
    labels = {label for sample in family.samples for label in sample.labels} - {"le"}
    found[name(family)] = {"type": family.type, "labels": sorted(labels)}
print(json.dumps(found))

"""Reads the metrics that a program prints with Prometheus's own parser: metrics_parse.py PROGRAM."""

import subprocess
import sys

try:
    from prometheus_client.parser import text_string_to_metric_families
except ImportError:
    print("skipped: the Python package prometheus_client is not installed")
    sys.exit(77)

NAMES = ["plain", 'quote " backslash \\ newline \n end', "café", ""]

text = subprocess.run([sys.argv[1]], stdout=subprocess.PIPE, check=True).stdout.decode()
families = {family.name: family for family in text_string_to_metric_families(text)}


def values(family, sample):
    return {s.labels["kernel"]: s.value for s in families[family].samples if s.name == sample and "le" not in s.labels}


for family in families.values():
    assert family.name.startswith("ringkernel_"), family.name
    assert family.type in ("counter", "gauge", "histogram"), family
    assert family.documentation.endswith("."), family
    keys = [(s.name, tuple(sorted(s.labels.items()))) for s in family.samples]
    assert len(keys) == len(set(keys)), "twice the same: " + family.name

calls = {name: 10.0 * (i + 1) for i, name in enumerate(NAMES)}
assert values("ringkernel_handled", "ringkernel_handled_total") == calls
assert values("ringkernel_accepted", "ringkernel_accepted_total") == calls
assert values("ringkernel_worker_handled", "ringkernel_worker_handled_total") == calls
assert values("ringkernel_actors", "ringkernel_actors") == {name: i + 1 for i, name in enumerate(NAMES)}
assert values("ringkernel_pending", "ringkernel_pending") == dict.fromkeys(NAMES, 0)

measured = {NAMES[1]: calls[NAMES[1]], NAMES[3]: calls[NAMES[3]]}
for family in ("ringkernel_handler_seconds", "ringkernel_queue_seconds"):
    assert families[family].type == "histogram"
    assert values(family, family + "_count") == measured
    assert all(0 < s < 60 for s in values(family, family + "_sum").values())
    for name, count in measured.items():
        buckets = [
            (float(s.labels["le"]), s.value)
            for s in families[family].samples
            if s.name == family + "_bucket" and s.labels["kernel"] == name
        ]
        assert buckets == sorted(buckets) and len(buckets) == 26, buckets
        assert [v for _, v in buckets] == sorted(v for _, v in buckets)
        assert buckets[-1] == (float("inf"), count)

states = [s for s in families["ringkernel_kernel_state"].samples if s.value == 1]
assert {(s.labels["kernel"], s.labels["state"]) for s in states} == {(name, "suspended") for name in NAMES}
print(f"{len(families)} families, {sum(len(f.samples) for f in families.values())} samples")

"""Metrics as Prometheus sees them."""

from collections import Counter

from prometheus_client.parser import text_string_to_metric_families

Samples = dict[str, float]


def samples(text: str) -> Samples:
    """Return each sample's value by its name and labels, such as `x_total` or `x_total{a="1",b="2"}`."""
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def requests(found: Samples) -> Counter[tuple[str, str, int]]:
    """Return how many requests were counted, by method, route and status."""
    counted: Counter[tuple[str, str, int]] = Counter()
    for name, value in found.items():
        if name.startswith("postline_http_request_duration_seconds_count"):
            method, route, status = (part.partition('="')[2] for part in name[:-2].split('",'))
            counted[method, route, int(status)] += int(value)
    return counted

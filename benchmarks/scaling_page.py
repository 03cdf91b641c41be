"""The part of the scaling guide that is measured and simulated."""

from dataclasses import fields

from benchmarks.cluster import Assumptions, Outcome
from benchmarks.contenders import ROOT, TEXT
from benchmarks.costs import Costs

GUIDE = ROOT / "docs/operations/scaling.md"

_MIB = 1_048_576
_GIB = 1024 * _MIB
_HEAD = (
    "| nodes | requests go to | answers/s | cache hits | posts/s | nodes busy | database busy | disk busy | bound by |"
)


def generated(costs: Costs, outcomes: dict[str, list[Outcome]]) -> str:
    """Return the part of the guide that is measured and simulated."""
    assumptions = "\n".join(
        f"| `--{each.name.replace('_', '-')}` | {each.default:,.10g} | {each.metadata['help']} |"
        for each in fields(Assumptions)
    )
    millions = 100 * _GIB // costs.post_bytes // 1_000_000
    flushes = f"{costs.flushes_per_write:.2f} for a post, each {1000 * costs.flush_seconds:.1f} ms"
    return f"""\
### What one process and one database server do

Measured with one process on one core of {costs.processor} and 32 clients, on MariaDB with
`innodb_flush_log_at_trx_commit = 1`. Posts have {len(TEXT)} characters, and a list has {costs.posts} of them.

{capacity(costs)}

| memory and disk | |
|---|---|
| a process after its start | {costs.process_bytes / _MIB:.0f} MiB |
| each open feed | {costs.feed_bytes / 1024:.0f} KiB: {_GIB // costs.feed_bytes:,} in a GiB |
| a list in the cache | {costs.list_bytes:,} bytes: {_cached_lists(costs):,} lists in the default cache |
| a post in the database, with its event | {costs.post_bytes:,} bytes: {millions:,} million in 100 GiB |
| the database's flushes to disk | {flushes}: {_flushed_posts(costs):,.0f} posts/s, one flush after another |

### What several nodes do

{table(outcomes)}

![Throughput, cache hits and the load of the database by the number of nodes](scaling.png)

What is assumed, and the flag of `python -m benchmarks.simulation` that changes it:

| flag | default | |
|---|---|---|
{assumptions}
"""


def table(outcomes: dict[str, list[Outcome]]) -> str:
    """Return the outcomes as a table in Markdown."""
    rows = [
        f"| {outcome.nodes} | {balance} | {outcome.throughput:,.0f} | {outcome.hit_rate:.0%} "
        f"| {outcome.writes / outcome.seconds:,.0f} | {outcome.node_share:.0%} | {outcome.database_share:.0%} "
        f"| {outcome.disk_share:.0%} | {outcome.bound} |"
        for balance, of_balance in outcomes.items()
        for outcome in of_balance
    ]
    return "\n".join([_HEAD, "|---" * 9 + "|", *rows])


def capacity(costs: Costs) -> str:
    """Return what each kind of request costs, as a table in Markdown."""
    kinds = [("cached list", costs.hit), ("uncached list", costs.miss), ("added post", costs.write)]
    rows = [
        f"| {name} | {1e6 * cost.node:,.0f} µs | {1 / cost.node:,.0f} | {1e6 * cost.database:,.0f} µs "
        f"| {1 / cost.database:,.0f} |"
        for name, cost in kinds
    ]
    head = "| request | of the node's core | a second and core | of the database's cores | a second and core |"
    return "\n".join([head, "|---|---|---|---|---|", *rows])


def _cached_lists(costs: Costs) -> int:
    return Assumptions().cache_bytes // costs.list_bytes


def _flushed_posts(costs: Costs) -> float:
    return 1 / (costs.flushes_per_write * costs.flush_seconds)

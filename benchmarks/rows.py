"""The rows of the benchmark: one function for each workload. Each also checks that the answers are correct."""

from collections.abc import Callable

from benchmarks import list_rows, memory_rows, process_rows, write_rows
from benchmarks.bench import Bench, Comparison

ROWS: dict[str, Callable[[Bench], list[Comparison]]] = {
    "cached-list": list_rows.cached_list,
    "cached-list-on-servers": list_rows.cached_list_on_servers,
    "uncached-list": list_rows.uncached_list,
    "add-on-sqlite": write_rows.add_on_sqlite,
    "add-on-servers": write_rows.add_on_servers,
    "batch": write_rows.batch,
    "changes": list_rows.changes,
    "search": list_rows.search,
    "log-in": list_rows.log_in,
    "newest-page": list_rows.newest_page,
    "large-list": memory_rows.large_list,
    "transfer": memory_rows.transfer,
    "large-posts": memory_rows.large_posts,
    "two-workers": list_rows.two_workers,
    "idle": process_rows.idle,
    "webhooks": process_rows.webhooks,
    "passwords": process_rows.passwords,
}

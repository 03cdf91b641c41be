"""Benchmarks: the service against the bare framework and against alternatives.

Begin with `rows`: one function for each row of docs/benchmarks.md. `contenders` starts the servers, `wrk` loads them,
`bench` compares, and `report` writes the page. `simulation` goes on from one node to several: `costs` measures what
requests cost, and `cluster` is the model.
"""

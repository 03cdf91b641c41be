"""The log, metrics and traces.

Begin with `request_metrics`, which wraps every request. `request_context` describes it, `logs` configures the log,
`metrics` is what Prometheus reads (`process_metrics` and `backlog_metrics` are its sources), and `tracing` is optional.
"""

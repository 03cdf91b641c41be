"""Everything that is written and read about what users own: all SQL of posts, sessions, keys and webhooks.

Begin with `unit_of_work`, the one place where changes are committed; the repositories beside it (`users`, `posts`, …)
are its parts. `queries` reads outside of transactions, `post_lists` and `small_lists` read lists. `pruning` removes
what has outlived its retention, and `policy` holds the bounds.
"""

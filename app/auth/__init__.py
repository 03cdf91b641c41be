"""Authentication: who a request speaks for.

Begin with `jwt_auth`, Litestar's JWT backend with a session behind each token. `session_tokens` issues access and
refresh tokens, `keys` holds the secrets, `passwords` hashes, `rate_limits` slows guessing down, and `shared_counts`
counts for all processes.
"""

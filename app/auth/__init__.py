"""Authentication: who a request speaks for.

Begin with `jwt_auth`, Litestar's JWT backend with a session behind each token. `session_tokens` issues access and
refresh tokens, `personal_tokens` what scripts send instead, and `scopes` says what those may do. `mail_links` issues
the links in mails, `keys` holds the secrets, `passwords` hashes, `rate_limits` slows guessing down, and `shared_counts`
counts for all processes.
"""

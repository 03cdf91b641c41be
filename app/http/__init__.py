"""What every route does alike.

Begin with `problems`: errors as problem documents (RFC 9457); the 413 comes from here too. `list_cache` caches lists
under the timeline version, in `response_store`. `response_headers`, `hosts`, `cors`, `methods`, `etags`,
`targets` and `request_body` are one HTTP concern each.
"""

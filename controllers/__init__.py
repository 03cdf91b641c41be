"""HTTP only: parse the request, call one use case or query, answer. One module a resource.

Begin with `posts`. `documentation`, `contract`, `links` and `docs` make the OpenAPI document; `page` serves the web
page in `static`.
"""

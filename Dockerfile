# Debian keeps only the newest of each package, so a version pinned here could soon not be had any more.
# hadolint global ignore=DL3008
FROM python:3.12-slim AS base
# The file system may be read-only, so nothing is cached beside the code.
ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PATH=/opt/venv/bin:$PATH
WORKDIR /srv/postline


FROM base AS build
# Wheels only: a pin that would need a compiler fails here instead of asking for one.
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ONLY_BINARY=:all: \
    PIP_ROOT_USER_ACTION=ignore
RUN python -m venv --without-pip /opt/venv
COPY requirements/image.txt requirements/
RUN pip --python /opt/venv/bin/python install --require-hashes -r requirements/image.txt


FROM build AS test-build
COPY requirements/test.txt requirements/
RUN pip --python /opt/venv/bin/python install --require-hashes -r requirements/test.txt


FROM base AS runtime
# The kernel keeps signals from a process 1 that has not said how it takes them. The service takes a second or two to say
# so, and a stop in that time would be lost; tini is process 1 instead, and passes it on.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/*
ENTRYPOINT ["tini", "--"]
# The first id that a Linux machine gives out, so that folders mounted from one are usually writable.
RUN groupadd --gid 1000 postline \
    && useradd --uid 1000 --gid postline --no-create-home --home-dir /data postline \
    && install --directory --owner postline --group postline /data
ENV DATA_DIR=/data
COPY --from=build /opt/venv /opt/venv
COPY alembic.ini ./
COPY migrations migrations/
COPY events events/
COPY models models/
COPY app app/
COPY controllers controllers/
# Compiled here, once, because no start may. Files keep the modes of the checkout, which a strict umask leaves unreadable
# to others.
RUN python -m compileall -q . \
    && chmod -R a+rX .
USER 1000:1000


# What is shipped, and what the tests use besides; the tests come with the checkout, which is mounted over the code.
FROM runtime AS test
USER 0:0
# Some tests start a Redis or a MariaDB of their own, to kill it, and some look at the pages with Chromium, which brings
# no fonts.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends redis-server chromium fonts-dejavu-core \
        mariadb-server-core mariadb-client \
    && rm -rf /var/lib/apt/lists/*
USER 1000:1000
COPY --from=test-build /opt/venv /opt/venv


FROM runtime AS app
EXPOSE 8000
# A proxy from the environment must not answer for the service, which has two seconds. On a busy machine Python alone may
# take longer to start.
HEALTHCHECK --interval=10s --timeout=10s --start-period=30s CMD ["python", "-c", \
    "from urllib.request import ProxyHandler as P, build_opener as b; b(P({})).open('http://127.0.0.1:8000/health/live', timeout=2)"]
CMD ["litestar", "run", "--host", "0.0.0.0", "--port", "8000"]

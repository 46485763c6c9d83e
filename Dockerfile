# docs/docker.md says how to use it. Debian and Python get their fixes when it is built anew: docker build --pull

# All of Debian's compilers, for platforms that a package has no wheel for (arm/v7).
FROM docker.io/library/python:3.13-trixie AS build
WORKDIR /build
# What builds stays here; what runs goes into a venv without pip.
RUN python -m venv tools && python -m venv --without-pip /opt/dalla-mqtt
COPY requirements/ requirements/
RUN tools/bin/pip install --no-cache-dir --no-deps --require-hashes --requirement requirements/build.txt \
    && tools/bin/pip --python /opt/dalla-mqtt install --no-cache-dir --no-deps --require-hashes \
    --requirement requirements/image.txt
COPY LICENSE README.md pyproject.toml config.yaml ./
COPY docs/dalla-mqtt.1 docs/
COPY deploy/systemd/ deploy/systemd/
COPY dalla_mqtt/ dalla_mqtt/
RUN tools/bin/pip wheel --no-build-isolation --no-deps --wheel-dir wheels . \
    && tools/bin/pip --python /opt/dalla-mqtt install --no-index --no-deps wheels/*.whl
# `image-tplink` adds what other models than the Archer C20 need (GPL-3.0-or-later).
ARG LOCK=image
RUN tools/bin/pip --python /opt/dalla-mqtt install --no-cache-dir --no-deps --require-hashes \
    --requirement "requirements/$LOCK.txt"

FROM docker.io/library/python:3.13-slim-trixie
LABEL org.opencontainers.image.title="dalla-mqtt" \
      org.opencontainers.image.description="Who used what? Data usage per device and user, over MQTT" \
      org.opencontainers.image.licenses="MIT"
# Python's own library comes uncompiled, and nothing can be kept while it runs: each start and each health check would
# compile it anew.
RUN python -c 'import compileall, sysconfig; compileall.compile_dir(sysconfig.get_path("stdlib"), maxlevels=2, quiet=2)' \
    && useradd --no-log-init --user-group --uid 1000 --home-dir /data --no-create-home --shell /usr/sbin/nologin dalla \
    && install --directory --owner=dalla --group=dalla --mode=0700 /data
COPY --from=build /opt/dalla-mqtt /opt/dalla-mqtt
# The page is to be reached through a published port; where no port is published, nobody does.
ENV PATH="/opt/dalla-mqtt/bin:$PATH" DALLA_WEB_LISTEN=0.0.0.0:8765
EXPOSE 8765
USER 1000:1000
# config.yaml, user-map.csv, state.db and the CSV files
VOLUME /data
WORKDIR /data
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=60s --timeout=10s --start-period=60s CMD ["dalla-mqtt", "health"]
ENTRYPOINT ["dalla-mqtt"]

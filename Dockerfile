# The service and nothing else: app/ and what it imports; no torch, no training, no tests. Models are data: a copy of
# models/ is the last layer, and a directory mounted read-only at /models takes its place.
#
#   --target cpu   the default
#   --target gpu   onnxruntime-gpu with its CUDA and cuDNN libraries
#   BASE           any image with Python 3.11 or newer and its venv module
ARG BASE=python:3.12-slim-bookworm

# Dependencies before code: a change of app/ alone installs nothing again.
FROM ${BASE} AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY pyproject.toml README.md ./
RUN python3 -c "import tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; extras = project['optional-dependencies']; [open(name, 'w').write('\n'.join(lines)) for name, lines in (('app.txt', project['dependencies'] + extras['pacs']), ('cpu.txt', extras['cpu']), ('gpu.txt', extras['gpu']))]" \
    && python3 -m venv /opt/discern \
    && /opt/discern/bin/pip install --quiet --requirement app.txt

FROM builder AS wheel
COPY app app
RUN /opt/discern/bin/pip wheel --quiet --no-deps --wheel-dir /wheel .

# Compiled here, for good: the running container writes nothing, and its files have the times of their layer.
FROM builder AS builder-cpu
RUN /opt/discern/bin/pip install --quiet --requirement cpu.txt
COPY --from=wheel /wheel /wheel
RUN /opt/discern/bin/pip install --quiet --no-deps /wheel/*.whl \
    && /opt/discern/bin/pip uninstall --quiet --yes pip setuptools \
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/discern/lib

FROM builder AS builder-gpu
RUN /opt/discern/bin/pip install --quiet --requirement gpu.txt
COPY --from=wheel /wheel /wheel
RUN /opt/discern/bin/pip install --quiet --no-deps /wheel/*.whl \
    && /opt/discern/bin/pip uninstall --quiet --yes pip setuptools \
    && python3 -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/discern/lib

FROM ${BASE} AS runtime
# The official slim image carries no compiled standard library; without it every start compiles anew.
RUN python3 -m compileall -q -x '/(test|tests|idlelib|lib2to3|site-packages|dist-packages)/' \
        "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
    && echo 'discern:x:10001:10001::/nonexistent:/usr/sbin/nologin' >> /etc/passwd \
    && echo 'discern:x:10001:' >> /etc/group
ENV PATH=/opt/discern/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    OPENBLAS_NUM_THREADS=1 \
    DISCERN_MODELS_DIR=/models \
    DISCERN_LOG_FORMAT=json \
    ORT_DISABLE_TELEMETRY=1
WORKDIR /
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "from http.client import HTTPConnection; c = HTTPConnection('127.0.0.1', 8000, timeout=4); c.request('GET', '/health/ready'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["discern"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Discern" \
      org.opencontainers.image.description="Chest radiograph screening that shows what tells COVID-19 from other pneumonia. Research use, not for diagnostic use." \
      org.opencontainers.image.revision="${REVISION}"

FROM runtime AS gpu
# Asked for but absent is an error at start, not a silent CPU.
ENV DISCERN_DEVICE=cuda \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=builder-gpu /opt/discern /opt/discern
COPY models /models

FROM runtime AS cpu
COPY --from=builder-cpu /opt/discern /opt/discern
COPY models /models

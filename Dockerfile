# The image of `maxwell submit --on kubernetes`: the locked packages, this program as a wheel, a user that is not root.
#   docker build --tag REGISTRY/maxwell:0.1 .
# Modules of models of your own: FROM this image, COPY them to /home/maxwell, which is where jobs run.
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS wheel
WORKDIR /source
COPY pyproject.toml README.md LICENSE maxwell.py ./
COPY kernels kernels
COPY ensemble ensemble
COPY workflows workflows
COPY configs configs
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:${PYTHON}-slim
# KubeRay looks by wget whether a pod is well.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends wget \
    && rm -rf /var/lib/apt/lists/*
COPY requirements-cluster.lock /tmp/
RUN pip install --no-cache-dir --require-hashes --requirement /tmp/requirements-cluster.lock
COPY --from=wheel /wheels /tmp/wheels
RUN pip install --no-cache-dir --no-deps /tmp/wheels/*.whl && rm -r /tmp/wheels
RUN useradd --uid 1000 --create-home maxwell
ENV PJRT_NPROC=1 \
    OMP_NUM_THREADS=1 \
    RAY_USAGE_STATS_ENABLED=0 \
    RAY_AUTH_MODE=token \
    PYTHONPATH=/home/maxwell
USER 1000
WORKDIR /home/maxwell
CMD ["maxwell", "--help"]

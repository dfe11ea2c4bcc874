# The service of a run: see docs/serving.md.
FROM python:3.12-slim

# Options of pip for torch, as in the Makefile: on Linux the default build brings GPU libraries of several gigabytes.
ARG TORCH=torch==2.13.0
ARG TORCH_OPTIONS=""

ENV PYTHONUNBUFFERED=1 \
    HOME=/home/service
RUN useradd --create-home --home-dir /home/service --uid 10001 service
WORKDIR /app

# The version is part of TORCH.
# hadolint ignore=DL3013,SC2086
RUN pip install --no-cache-dir ${TORCH_OPTIONS} "${TORCH}"
COPY setup.cfg pyproject.toml README.md LICENSE /build/
COPY recbole_sda /build/recbole_sda
COPY dataset_prep /build/dataset_prep
COPY properties /build/properties
RUN pip install --no-cache-dir "/build[serve,ann]"

USER 10001
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=300s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "recbole_sda", "serve", "--host=0.0.0.0", "--port=8000"]
CMD ["--help"]

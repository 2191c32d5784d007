# The image runs any role: `docker run -v data:/data -p 8787:8787 heardback serve`, or any other command.
FROM python:3.13-slim AS build
WORKDIR /build
COPY pyproject.toml README.md LICENSE ./
COPY src src
COPY templates templates
RUN python -m venv /heardback && /heardback/bin/pip install --no-cache-dir ".[relay,postgres,nats]"

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /data heardback && install -d -o heardback -m 0700 /data
COPY --from=build /heardback /heardback
ENV PATH=/heardback/bin:$PATH HEARDBACK_SERVER_HOST=0.0.0.0 HEARDBACK_SERVER_PORT=8787
USER heardback
WORKDIR /data
VOLUME /data
EXPOSE 8787 2525
# Not /readyz: whoever restarts what is unhealthy would end, while the store is away, what is kept in memory for it.
HEALTHCHECK --interval=30s --timeout=3s --start-period=10s CMD \
    ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['HEARDBACK_SERVER_PORT']}/healthz\", timeout=2)"]
ENTRYPOINT ["heardback"]
CMD ["serve"]

# docker build -t leed-agentic . && docker run --rm leed-agentic
FROM python:3.12-slim-bookworm
# What SUMO's wheels expect of the system, and nothing else.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libx11-6 libxext6 \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# CPU only: nobody needs CUDA's 2.5 GB here.
RUN pip install --no-cache-dir "uv~=0.13" \
    && uv pip install --system --no-cache --torch-backend cpu . \
    && useradd --uid 1000 --create-home leed && install -d -o leed /leed
USER 1000
WORKDIR /leed
ENTRYPOINT ["leed"]
CMD ["demo", "generate"]

# The four programs in one image; the command says which one runs.
#
#   docker build -t hubspot-sync .

FROM rust:1.95.0-bookworm AS build
WORKDIR /build
COPY . .
# Queries are checked against the committed cache (.sqlx), so no database is needed here.
ENV SQLX_OFFLINE=true
RUN cargo build --release --locked \
        --package worker --package web --package client --package simulator \
    && mkdir /out \
    && cp target/release/hubspot-sync-worker target/release/hubspot-sync-web \
          target/release/hubspot-sync target/release/hubspot-simulator /out/

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin sync
COPY --from=build /out/ /usr/local/bin/
USER 10001:10001
# Both programs shut down gracefully on SIGTERM, which is what `docker stop` sends.
CMD ["hubspot-sync-worker"]

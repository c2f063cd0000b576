# The bridge as one static binary in an empty image.
#
#   docker build -t deskbridge .
#   docker run -p 8080:8080 -v deskbridge:/data deskbridge

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# nomsgpack leaves out a codec of Gin that nothing here uses.
RUN CGO_ENABLED=0 go build -trimpath -tags nomsgpack -ldflags "-s -w" -o /out/deskbridge . \
 && mkdir -m 0700 /out/data

FROM scratch
# Zammads are reached over TLS; schedules and times are in UTC.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/deskbridge /deskbridge
COPY --from=build --chown=65532:65532 /out/data /data
USER 65532:65532
# Inside a container only its published port is reachable. A reverse proxy with
# TLS belongs in front (docs/operate.md).
ENV DESKBRIDGE_LISTEN=0.0.0.0:8080 DESKBRIDGE_DATA_DIR=/data
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["/deskbridge", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/deskbridge"]
CMD ["serve"]

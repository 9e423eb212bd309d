# A static binary in an empty image: nothing in it but the operator and the public certificate
# authorities.
FROM rust:1.95-alpine AS build
RUN apk add --no-cache build-base ca-certificates cmake perl
WORKDIR /src
COPY Cargo.toml Cargo.lock rust-toolchain.toml ./
COPY src src
COPY tests tests
RUN cargo build --release --locked --bin credential-operator \
 && cp target/release/credential-operator /credential-operator

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /credential-operator /credential-operator
USER 65532:65532
ENTRYPOINT ["/credential-operator"]
CMD ["run"]

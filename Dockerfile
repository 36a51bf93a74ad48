# xrc in an image, run as a user without rights on files of the current folder:
#
#   docker build -t xrc .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/data" xrc compress chest.dcm
#
# EXTRAS are those of pyproject.toml: docker build --build-arg EXTRAS=gateway,dask -t xrc .

FROM python:3.11-slim AS build
ARG EXTRAS=gateway
WORKDIR /source
COPY pyproject.toml README.md LICENSE hatch_build.py ./
COPY core core
COPY src src
RUN python -m venv /opt/xrc \
    && /opt/xrc/bin/pip install --no-cache-dir --disable-pip-version-check ".[${EXTRAS}]"

FROM python:3.11-slim
COPY --from=build /opt/xrc /opt/xrc
# Compiled loops are kept outside of the package, which nobody who runs the image may write to.
# Whoever --user names may write to their folder, or each start would compile them again.
ENV PATH="/opt/xrc/bin:$PATH" \
    NUMBA_CACHE_DIR=/var/cache/xrc \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
RUN useradd --system --uid 10001 --no-create-home xrc \
    && mkdir -p /data /var/cache/xrc \
    && chown xrc /data /var/cache/xrc
USER xrc
RUN python -c "import numpy, xraycodec as x; \
    i = numpy.arange(65536, dtype='u2').reshape(256, 256); \
    assert (x.decompress(x.compress(i)).pixels == i).all()" \
    && chmod -R a+rwX /var/cache/xrc
WORKDIR /data
ENTRYPOINT ["xrc"]
CMD ["--help"]

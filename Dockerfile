# docker build -t stepback .
# docker run --rm -p 127.0.0.1:7860:7860 stepback                    the CPU
# docker run --rm -p 127.0.0.1:7860:7860 --gpus all stepback         an NVIDIA card
#
# PyPI's torch for Linux runs on both and is large. For a small image that knows the CPU only, name PyTorch's own index
# of CPU builds: docker build --build-arg TORCH_INDEX=ADDRESS -t stepback .
FROM python:3.12-slim

ARG TORCH_INDEX=""
ENV PIP_NO_CACHE_DIR=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1

WORKDIR /stepback
COPY requirements.txt requirements-diffbir.txt ./
RUN if [ -n "$TORCH_INDEX" ]; then \
        pip install --index-url "$TORCH_INDEX" "$(grep '^torch==' requirements.txt)"; \
    fi && pip install -r requirements.txt

COPY . .
RUN useradd --create-home stepback && chown -R stepback weights
USER stepback

EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD python -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/healthz', timeout=4)"
CMD ["python", "app.py", "--host", "0.0.0.0", "--port", "7860", "--no-browser"]

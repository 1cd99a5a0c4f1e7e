# One image for all processes; compose.yaml says which one a container is.
FROM python:3.12-slim-bookworm AS build
WORKDIR /build
RUN python -m venv /venv
COPY requirements.production.lock .
RUN /venv/bin/pip install --no-cache-dir --require-hashes -r requirements.production.lock
COPY pyproject.toml README.md LICENSE piccolo_conf.py ./
COPY app app
COPY workers workers
COPY piccolo_migrations piccolo_migrations
RUN /venv/bin/pip install --no-cache-dir --no-deps .

FROM python:3.12-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home stock-tracker
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 APP_ENV=production
USER 10001
WORKDIR /venv
EXPOSE 8000
ENTRYPOINT ["stock-tracker"]
CMD ["serve", "--host", "0.0.0.0"]

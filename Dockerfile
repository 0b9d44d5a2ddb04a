# Airflow and the connector, with the same pinned packages and the same recipe as in CI.
FROM python:3.11.11-slim-bookworm
RUN apt-get update \
 && apt-get install -y --no-install-recommends make \
 && rm -rf /var/lib/apt/lists/*
COPY . /opt/connector
WORKDIR /opt/connector
RUN make airflow
ENV PATH=/opt/connector/.venv-airflow/bin:$PATH AIRFLOW_HOME=/opt/airflow
RUN useradd --create-home --home-dir /opt/airflow airflow
USER airflow

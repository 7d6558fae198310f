# The dashboard in a container, on the embedded data or on runs of yours:
#   docker build -t mira-nb .
#   docker run --rm -p 127.0.0.1:8866:8866 mira-nb
#   docker run --rm -p 127.0.0.1:8866:8866 -v "$PWD/runs:/runs" mira-nb dashboard /runs --host 0.0.0.0 --port 8866 --no-browser
# The address with its token is printed; write localhost in the place of the container's name.
FROM python:3.11-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/mira_nb
COPY requirements/run.lock requirements/run.lock
RUN pip install --no-cache-dir -r requirements/run.lock
COPY . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation .
RUN useradd --create-home mira && mkdir /runs && chown mira /runs
USER mira
ENV OMP_NUM_THREADS=1
RUN mira-nb demo --out /runs/demo \
    && python -c "from mira_nb.panels.browser_widgets import vega_bundle; vega_bundle()"
EXPOSE 8866
ENTRYPOINT ["mira-nb"]
CMD ["dashboard", "/runs/demo", "--host", "0.0.0.0", "--port", "8866", "--no-browser"]

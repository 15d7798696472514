# docker build -t imageclf . makes an image with all commands; docs/cluster.md says how it is run, also by Apptainer.
FROM python:3.11-slim

# The releases of requirements.lock, with CUDA's libraries; the driver is the host's.
WORKDIR /opt/imageclf
COPY requirements.lock pyproject.toml README.md LICENSE ./
COPY conf conf
COPY src src
RUN pip install --no-cache-dir --constraint requirements.lock '.[demo,export,slurm,sweep,tensorboard]' \
    && rm -r src

# Not root: what a run writes into a mounted folder belongs to the user whose number is given with --user.
RUN useradd --create-home imageclf
USER imageclf
# A user whom --user names may have neither a name nor a home in here.
ENV LOGNAME=imageclf XDG_CACHE_HOME=/tmp/cache MPLCONFIGDIR=/tmp/matplotlib
WORKDIR /work
CMD ["imageclf-train", "--help"]

#!/usr/bin/env bash
# Makes every image of docker-compose.chaos.yml from Debian's packages and what vqchaos installs:
# no image registry is asked. Prints, or writes, the variables that tell Compose to use them.
#
#   images.sh [--env-file FILE] [--stand-in] [--engine-python PATH] [--suite NAME] [--mirror URL]
#             [--work DIR] [--data-root DIR]
#
#   --env-file FILE        write the variables there instead of printing them
#   --stand-in             a server without a model instead of vLLM: up in seconds
#   --engine-python PATH   the interpreter for vLLM's environment (default: the one of .venv)
#   --suite, --mirror      Debian's release (default: this machine's) and where to get it
#   --work, --data-root    as in daemon.sh, which starts a Docker daemon if none answers
#
# Quick the second time: an image is made again only if what goes into it changed.
# VQCHAOS_PACKAGES replaces the list of Debian packages (comma-separated), for other releases.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
# shellcheck source=lib.sh
. "$here/lib.sh"

# What vLLM's wheels and the usual builds of Python are linked with, a compiler for what vLLM
# compiles as it runs, and the router. One file system serves all images: it is there once.
PACKAGES=${VQCHAOS_PACKAGES:-ca-certificates,libssl3,libgomp1,libnuma1,libreadline8,libsqlite3-0,libffi8,liblzma5,libbz2-1.0,zlib1g,procps,g++,libc6-dev,haproxy}

env_file='' stand_in='' engine_python='' mirror='' work=/var/lib/vqchaos-docker
suite=$(. /etc/os-release 2>/dev/null && printf '%s' "${VERSION_CODENAME:-}")
data_root=''
while [ $# -gt 0 ]; do
  case $1 in
    --env-file) env_file=$(value "$@"); shift 2 ;;
    --stand-in) stand_in=1; shift ;;
    --engine-python) engine_python=$(value "$@"); shift 2 ;;
    --suite) suite=$(value "$@"); shift 2 ;;
    --mirror) mirror=$(value "$@"); shift 2 ;;
    --work) work=$(value "$@"); shift 2 ;;
    --data-root) data_root=$(value "$@"); shift 2 ;;
    -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" && exit 0 ;;
    *) usage_error "unknown option $1; see $0 --help" ;;
  esac
done
daemon=(--work "$work" ${data_root:+--data-root "$data_root"})
[ -n "$suite" ] || usage_error "/etc/os-release names no release; say --suite bookworm, for one"

need_root
python=$top/.venv/bin/python
"$python" -c 'import vqchaos' 2>/dev/null ||
  die "vqchaos is not installed in $top/.venv" "run \`make install\` first"
DOCKER_HOST=$("$here/daemon.sh" start "${daemon[@]}")
export DOCKER_HOST
mkdir -p "$work/cache" # what vLLM compiles, for every container and every `up`
exec 9>"$work/images.lock" # after the daemon, which must not inherit it
flock -n 9 || { say "another images.sh is at it; waiting" && flock 9; }

rootfs='' container=''
cleanup() {
  [ -z "$container" ] || docker rm -f "$container" >/dev/null 2>&1 || true
  if [ -n "$rootfs" ]; then
    # debootstrap that was interrupted leaves these mounted.
    for mount in proc sys dev/pts dev; do umount "$rootfs/$mount" 2>/dev/null || true; done
    rm -rf --one-file-system "$rootfs"
  fi
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

digest() { sha256sum | cut -c1-8; }
has() { docker image inspect "$1" >/dev/null 2>&1; }

# layer BASE TAG CHANGE SOURCE TARGET…: files on top of an image, without a builder.
layer() {
  local base=$1 tag=$2 change=$3
  shift 3
  has "$tag" && return
  say "making $tag"
  container=$(docker create "$base" true)
  while [ $# -gt 0 ]; do
    docker cp -q "$1" "$container:$2" 2>/dev/null || docker cp "$1" "$container:$2" >/dev/null ||
      die "cannot copy $1 into $tag"
    shift 2
  done
  docker commit --change "$change" "$container" "$tag" >/dev/null
  docker rm "$container" >/dev/null
  container=
}

base_image() {
  has "$base" && return
  need debootstrap=debootstrap
  need_space "$work" 1500 "Debian's file system"
  say "making $base with debootstrap, about a minute"
  rootfs=$(mktemp -d "$work/rootfs.XXXXXX")
  chmod 755 "$rootfs"
  # shellcheck disable=SC2086 # no mirror is no argument
  debootstrap --variant=minbase "--include=$packages" "$suite" "$rootfs" $mirror \
    >"$work/debootstrap.log" 2>&1 || {
    grep -E '^(E|W):' "$work/debootstrap.log" | tail -n 5 >&2 || true
    die "debootstrap $suite failed" "the whole log: $work/debootstrap.log; --suite, --mirror and VQCHAOS_PACKAGES change what it gets"
  }
  rm -rf "$rootfs"/var/cache/apt/archives/*.deb "$rootfs"/var/lib/apt/lists/*
  tar -C "$rootfs" --numeric-owner -c . | docker import - "$base" >/dev/null ||
    die "docker import failed" "is the disk of Docker's data root full? docker info says where it is"
  rm -rf --one-file-system "$rootfs"
  rootfs=
}

facts=$(as_caller "$python" "$here/engine_facts.py" "$([ -n "$stand_in" ] && echo python || echo engine)" \
  ${engine_python:+"$engine_python"})
fact() { sed -n "s/^$1=//p" <<<"$facts"; }
facts+=$'\n'$(as_caller "$python" "$here/engine_facts.py" toxiproxy)
case $(fact ENGINE)$(fact PREFIX)$(fact MODEL) in
  *[[:space:]:]*) die "a path has a space or a colon, which Compose cannot mount: $(fact ENGINE) $(fact PREFIX)" \
    "set XDG_CACHE_HOME, or choose another --engine-python" ;;
esac

# Debian's own Python cannot be mounted, its folder is /usr: the image gets the same one.
packages=$PACKAGES
mounted_python=1
if [ "$(fact PREFIX)" = /usr ]; then
  packages+=,python$(fact VERSION)
  mounted_python=
fi

base=vqchaos/base:$suite-$(printf '%s\n' "$packages" "$suite" "$(uname -m)" | digest)
base_image
mark=${base#*:}

toxiproxy=$(fact TOXIPROXY)
proxy_image=vqchaos/toxiproxy:$(cat "$toxiproxy" "$here/toxiproxy-cli" <(echo "$mark") | digest)
layer "$base" "$proxy_image" 'ENTRYPOINT ["/toxiproxy"]' \
  "$toxiproxy" /toxiproxy "$here/toxiproxy-cli" /toxiproxy-cli
router_image=vqchaos/router:$mark
docker tag "$base" "$router_image"
server_image=vqchaos/server:$mark
docker tag "$base" "$server_image"
if [ -n "$stand_in" ]; then
  find "$here/stand_in" -name __pycache__ -prune -exec rm -rf {} +
  content=$(find "$here/stand_in" -name '*.py' | LC_ALL=C sort | xargs cat)
  server_image=vqchaos/stand-in:$(digest <<<"$content$mark")
  layer "$base" "$server_image" 'ENV PYTHONPATH=/opt/stand-in' "$here/stand_in" /opt/stand-in
fi

variables() {
  echo "# Written by tools/docker/images.sh for docker-compose.chaos.yml, profile cpu."
  echo "DOCKER_HOST=$DOCKER_HOST"
  echo "VQCHAOS_SERVER_IMAGE=$server_image"
  echo "VQCHAOS_ROUTER_IMAGE=$router_image"
  echo "VQCHAOS_TOXIPROXY_IMAGE=$proxy_image"
  echo "VQCHAOS_SERVER_PYTHON=$(fact PYTHON)"
  echo "VQCHAOS_MODEL_DIR=$(fact MODEL)"
  echo "VQCHAOS_CACHE_DIR=$work/cache"
  if [ -n "$(fact ENGINE)" ]; then
    echo "VQCHAOS_ENGINE_DIR=$(fact ENGINE)"
    echo "VQCHAOS_ENGINE_PATH=$(fact ENGINE)"
  fi
  if [ -n "$mounted_python" ]; then
    echo "VQCHAOS_PYTHON_DIR=$(fact PREFIX)"
    echo "VQCHAOS_PYTHON_PATH=$(fact PREFIX)"
  fi
}

if [ -n "$env_file" ]; then
  variables >"$env_file.tmp" && mv "$env_file.tmp" "$env_file"
  say "wrote $env_file"
else
  variables
fi

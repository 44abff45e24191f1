# shellcheck shell=bash
# For the scripts beside it: words, checks, packages.

say() { printf '[docker] %s\n' "$*" >&2; }

die() {
  printf '[docker] error: %s\n' "$1" >&2
  [ $# -lt 2 ] || printf '[docker]   %s\n' "$2" >&2
  exit 3
}

usage_error() {
  printf '[docker] error: %s\n' "$1" >&2
  exit 2
}

# The value of an option, or an error if there is none: value "$@"
value() {
  [ -n "${2:-}" ] || usage_error "$1 needs a value"
  printf '%s\n' "$2"
}

need_root() {
  [ "$(id -u)" = 0 ] ||
    die "this needs root (debootstrap makes device files, dockerd mounts)" "run it again with sudo"
}

# As whoever called sudo: caches of vqchaos are a user's, and 6 GB.
as_caller() {
  if [ -n "${SUDO_USER:-}" ] && [ "$SUDO_USER" != root ]; then
    sudo -H -u "$SUDO_USER" -- "$@"
  else
    "$@"
  fi
}

# Install Debian packages whose program is missing: need PROGRAM=PACKAGE…
need() {
  local pair missing=()
  for pair in "$@"; do
    command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
  done
  [ ${#missing[@]} -eq 0 ] || install "${missing[@]}"
}

# Debian packages, without their services: install PACKAGE…
install() {
  local missing=("$@")
  command -v apt-get >/dev/null ||
    die "not installed: ${missing[*]}, and there is no apt-get here" \
      "install them with your system's own tools, then run this again"
  need_root
  say "installing ${missing[*]}"
  # In a shell of its own: its traps are not the caller's.
  (apt_without_services "${missing[@]}") || exit "$?"
}

# Ends the shell that it is called in if it fails, or by the signal that came.
apt_without_services() {
  # A package must not start a service of its own: dockerd is started by us, or was before.
  policy=${POLICY_RC_D:-/usr/sbin/policy-rc.d} ours='' log=''
  trap cleared EXIT # bash does it for INT and TERM too
  log=$(mktemp) || die "no temporary file can be made"
  if [ ! -e "$policy" ]; then
    ours=1
    { printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"; } ||
      die "$policy cannot be written: a package might start its services"
  fi
  {
    apt-get update -q &&
      DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
  } >"$log" 2>&1 || {
    tail -n 5 "$log" >&2
    die "apt-get could not install $*"
  }
}

cleared() {
  [ -z "$ours" ] || rm -f "$policy"
  [ -z "$log" ] || rm -f "$log"
}

# Is there a busybox that needs no library? The tests make an image of it.
static_busybox() {
  local path linked
  path=$(command -v busybox) || return 1
  linked=$(ldd "$path" 2>&1) || true # it fails for a static one
  [[ $linked == *"not a dynamic executable"* || $linked == *"statically linked"* ]]
}

# At least so many megabytes below a folder: need_space FOLDER MB WHAT
need_space() {
  local free
  mkdir -p "$1"
  free=$(df -Pm "$1" | awk 'NR == 2 {print $4}')
  [ "$free" -ge "$2" ] || die "$1: $free MB free, $3 needs $2 MB" "free some, or name another folder"
}

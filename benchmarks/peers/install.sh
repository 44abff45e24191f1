#!/usr/bin/env bash
# The peers, each in an environment of its own below .bench: they do not go together.
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
python=${1:-python3}
peer() { # FOLDER PACKAGE…
  local folder=$top/.bench/$1
  shift
  [ -e "$folder/.installed" ] && return
  "$python" -m venv "$folder"
  "$folder/bin/pip" install -q "$@"
  touch "$folder/.installed"
}
peer locust locust==2.47.0
peer chaos chaostoolkit==1.19.0 chaostoolkit-toxiproxy==0.3.1
peer aiperf aiperf==0.13.0

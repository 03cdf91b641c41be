# shellcheck shell=bash
# Readies this shell, bash or zsh, for work on Postline: source activate_project.sh

_postline_activate() {
    local root exports
    root=$(CDPATH='' cd -- "$(dirname -- "$1")" && pwd) || return

    # Nothing happens where it is up to date.
    make --silent -C "$root" .venv/.set-up-dev || return

    # shellcheck source=/dev/null
    . "$root/.venv/bin/activate" || return

    if [ -f "$root/.env" ]; then
        # Read as the service reads it: a shell would trip over the & of a URL.
        exports=$("$root/.venv/bin/python" - "$root/.env" <<'PYTHON'
import shlex
import sys

from dotenv import dotenv_values

for name, value in dotenv_values(sys.argv[1]).items():
    if name.isidentifier() and value:
        print(f"export {name}={shlex.quote(value)}")
PYTHON
        ) || return
        eval "$exports"
    fi
}

if [ -n "${BASH_VERSION:-}" ] && [ "${BASH_SOURCE[0]}" = "$0" ]; then
    echo 'This readies the shell that sources it: source activate_project.sh' >&2
    exit 1
fi

# zsh has no BASH_SOURCE, but names the sourced file in $0.
_postline_activate "${BASH_SOURCE[0]:-$0}" && unset -f _postline_activate

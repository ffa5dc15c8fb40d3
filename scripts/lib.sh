# shellcheck shell=sh
# What the scripts share: find a Python, make a virtual environment, fill it. POSIX sh, read with `.`

say() { printf '%s\n' "$*" >&2; }

# die STATUS WORDS: one line, and the exit codes of gscd itself (69: something is not there).
die() {
    status=$1
    shift
    say "$(basename "$0"): $*"
    exit "$status"
}

# The Python to use: $PYTHON, else the newest 3.11 to 3.14 on PATH that runs, else python3 if it is new enough.
find_python() {
    for candidate in ${PYTHON:-python3.14 python3.13 python3.12 python3.11 python3}; do
        if "$candidate" -c 'import sys, sqlite3, ssl, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    die 69 "needs Python 3.11 or newer${PYTHON:+, which $PYTHON is not}: apt-get install python3, or set PYTHON"
}

# quietly WORDS...: run it; only if it fails, show what it said.
quietly() {
    words=$(mktemp)
    if "$@" >"$words" 2>&1; then
        rm -f "$words"
    else
        status=$?
        cat "$words" >&2
        rm -f "$words"
        say "failed with status $status: $*"
        return "$status"
    fi
}

# pip_in VENV WORDS...
pip_in() {
    venv=$1
    shift
    quietly env PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 "$venv/bin/python" -m pip "$@"
}

# pip_locked VENV NAME... -- WORDS...: what scripts/locked/NAME.txt list, nothing whose hash does not stand there; then
# gscd itself, which the words name, built by what is locked too. A name of its own for each variable: sh has one scope.
pip_locked() {
    locked_venv=$1 locked_files=
    shift
    while [ "$1" != -- ]; do
        locked_files="$locked_files --requirement scripts/locked/$1.txt"
        shift
    done
    shift
    # shellcheck disable=SC2086 # several words
    pip_in "$locked_venv" install --require-hashes --requirement scripts/locked/build.txt $locked_files &&
        pip_in "$locked_venv" install --no-deps --no-build-isolation "$@"
}

# make_venv VENV PYTHON: an environment with pip, also where Debian's python3-venv (ensurepip) is not installed.
# Then pip comes from a pip on this machine, or else as a wheel from the package index.
make_venv() {
    quietly "$2" -m venv --clear --without-pip "$1" || return
    if "$1/bin/python" -m ensurepip >/dev/null 2>&1; then
        return
    fi
    say "no ensurepip here; getting pip another way"
    if "$2" -m pip --version >/dev/null 2>&1 && "$2" -m pip --python "$1/bin/python" install -q pip; then
        return
    fi
    "$1/bin/python" scripts/get_pip.py
}

# install_checkout EXTRA...: the checkout, editable, with these extras, in .venv. Does nothing when all of it is there.
install_checkout() {
    if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        python=$(find_python) || exit
        say "making .venv with $python"
        make_venv .venv "$python" || die 69 "could not make .venv with $python"
    fi
    wanted=$(cat setup.cfg pyproject.toml scripts/locked/*.txt scripts/lib.sh | cksum)
    missing=
    for extra in "$@"; do
        [ "$(cat ".venv/.has-$extra" 2>/dev/null)" = "$wanted" ] || missing="$missing,$extra"
    done
    [ -n "$missing" ] || return 0
    say "installing gscd[${missing#,}] into .venv"
    # shellcheck disable=SC2046 # several words
    pip_locked .venv gscd $(printf '%s' "$missing" | tr ',' ' ') -- --editable . ||
        die 69 "pip could not install what is needed (see above)"
    for extra in "$@"; do
        printf '%s\n' "$wanted" >".venv/.has-$extra"
    done
}

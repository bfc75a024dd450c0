# Sourced by run-demo and run-tests, from the checkout's root: makes a virtual environment and installs into it.
# Needs Python 3.11 or newer and the network.  PYTHON=/path/to/python3 chooses the interpreter.

# Whatever the caller's environment says about Python must not reach ours.
unset PYTHONPATH PYTHONHOME PYTHONSTARTUP PIP_TARGET PIP_PREFIX PIP_USER PIP_REQUIRE_VIRTUALENV VIRTUAL_ENV
# The folder core/ here must not be imported in place of the installed package.
PYTHONSAFEPATH=1
PIP_DISABLE_PIP_VERSION_CHECK=1
export PYTHONSAFEPATH PIP_DISABLE_PIP_VERSION_CHECK

fail() {
    printf '%s: %s\n' "$0" "$*" >&2
    exit 1
}

suitable() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

# A suitable Python, in $python.
find_python() {
    if [ -n "${PYTHON:-}" ]; then
        suitable "$PYTHON" || fail "PYTHON=$PYTHON is not Python 3.11 or newer"
        python=$PYTHON
        return
    fi
    for python in python3 python3.14 python3.13 python3.12 python3.11 python; do
        suitable "$python" && return
    done
    fail "needs Python 3.11 or newer, found $(python3 --version 2>&1 || echo none); PYTHON=/path/to/python3 chooses another"
}

# environment FOLDER REQUIREMENT...: a virtual environment in FOLDER with REQUIREMENTs installed; $python is its Python.
environment() {
    folder=$1
    shift
    if ! { [ -x "$folder/bin/python" ] && suitable "$folder/bin/python" && "$folder/bin/python" -m pip --version >/dev/null 2>&1; }; then
        find_python
        echo "Making a virtual environment in $folder with $("$python" --version 2>&1)"
        "$python" -m venv --clear "$folder" ||
            fail "cannot make a virtual environment with $python; on Debian and Ubuntu: apt install python3-venv"
    fi
    python=$folder/bin/python
    echo "Installing $* (the first time takes a minute)"
    "$python" -m pip install --quiet "$@" || fail "installing failed; the messages above say why"
}

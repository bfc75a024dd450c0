"""Programs from text: built once, and kept on disk as the binary that the driver gives, named by its content."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import pyopencl as cl

from core import cachedir
from core.device.contract import Facts, Source
from core.errors import CompileError, OptionError

OPTIONS = ("-cl-std=CL1.2",)


def build(context: Any, device: Any, facts: Facts, source: Source) -> Any:
    """The program of a text.  Errors: CompileError with the driver's message, the line and the op it belongs to."""
    options = list(OPTIONS)
    if facts.stored:
        options.append("-cl-single-precision-constant")
    file = _file(device, source.text, options)
    program = None if file is None else _from_binary(context, device, file, source)
    if program is not None:
        return program
    for again in ("", "\n/* built again */\n"):
        program = cl.Program(context, source.text + again)
        try:
            program.build(options=options, devices=[device], cache_dir=False)
        except cl.RuntimeError as error:
            raise _refused(facts, source, str(error)) from error
        if _is_whole(program, source):
            break
    if file is not None:
        _keep(program, file)
    return program


def _is_whole(program: Any, source: Source) -> bool:
    """Whether all kernels are there.

    PoCL keeps a cache of its own, and makes a program without kernels of an entry that a process left unfinished when
    it was killed; another text is another entry.
    """
    try:
        for kernel, _ in source.kernels:
            cl.Kernel(program, kernel.name)
    except cl.Error:
        return False
    return True


def _file(device: Any, text: str, options: list[str]) -> Path | None:
    """Where the binary is kept: None where no folder can be written."""
    identity = (device.platform.version, device.name, device.version, device.driver_version, *options, text)
    key = hashlib.sha256("\n".join(identity).encode()).hexdigest()[:40]
    try:
        return cachedir.subfolder("opencl") / f"{key}.bin"
    except (OptionError, RuntimeError):
        return None


def _from_binary(context: Any, device: Any, file: Path, source: Source) -> Any:
    """The program of a binary, or None where it cannot be used."""
    try:
        content = file.read_bytes()
    except OSError:
        return None
    digest, binary = content[:32], content[32:]
    if hashlib.sha256(binary).digest() != digest:
        return None
    try:
        program = cl.Program(context, [device], [binary]).build()
        return program if _is_whole(program, source) else None
    except (cl.Error, cl.RuntimeError):  # the driver has changed in a way that it does not say
        return None


def _keep(program: Any, file: Path) -> None:
    try:
        (binary,) = program.get_info(cl.program_info.BINARIES)
        if binary:
            cachedir.put(file, hashlib.sha256(binary).digest() + binary)
    except (OSError, cl.Error, ValueError):  # a full disk, a driver without binaries: it is built again next time
        return


def _refused(facts: Facts, source: Source, log: str) -> CompileError:
    """Three lines: what the driver said, the line it said that of, the op that the line came from."""
    lines = source.text.splitlines()
    first = _complaint(log)
    number = _line_number(first, lines)
    code = lines[number - 1].strip() if number else "(no line given)"
    comment = next((line for line in reversed(lines[:number]) if line.startswith("/* ")), "/* no op that is known */")
    message = first.partition("error:")[2].strip() or first.strip()
    return CompileError(
        f"the OpenCL driver of {facts.name} refused generated code: {message}\n"
        f"  line {number}: {code}\n  in the loops of {comment[3:-3]}",
        source_code=source.text,
        log=log,
    )


def _complaint(log: str) -> str:
    """The line of a log that says why.  Compilers say "error:", the assembler of NVIDIA's driver says "fatal"."""
    said = [line for line in log.splitlines() if line.strip() and not line.startswith(("clBuildProgram", "Build on "))]
    found = (line for word in ("error:", "fatal", "error") for line in said if word in line)
    return next(found, said[0] if said else log)


def _line_number(complaint: str, lines: list[str]) -> int:
    """The line that a complaint names, or the first with the name that it quotes; 0 where there is none."""
    place = re.search(r":(\d+):(?:\d+:)? ", complaint)
    if place:
        return int(place[1]) if int(place[1]) <= len(lines) else 0
    name = re.search(r"'(\w+)'", complaint)
    return next((k for k, line in enumerate(lines, 1) if name and name[1] in line), 0)

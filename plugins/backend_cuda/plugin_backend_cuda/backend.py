"""The driver of backend "cuda": what works here, its devices, and programs for them."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

from core.device.opened import Opened
from core.device.program import DeviceProgram
from core.device.space import Space
from core.errors import BackendError
from core.ir.program import Program
from core.options import config
from core.records import Probe
from plugin_backend_cuda import absent, compiler, cublas, cufft, cusolver, cusparse, libcuda
from plugin_backend_cuda.device import CudaDevice
from plugin_backend_cuda.dialect import CUDA
from plugin_backend_cuda.libcuda import NO_DEVICE, OLDEST, CudaError

GET_DRIVER = "install NVIDIA's driver (nvidia.com/drivers, or your system's package); it brings libcuda"


class Driver:
    """Opens each device once for each setting of the options that decide about code.

    load      gives the driver's calls;  find: the compiler, or None and why there is none
    products  (stream, its number, workspace) -> a library of products;  None: cuBLAS, where it is
    solver    (stream, its number) -> a library of decompositions;  None: cuSOLVER, where it is
    fft       (stream, its number, allocate) -> a library of Fourier transforms;  None: cuFFT, where it is
    """

    name = "cuda"
    dialect = "cuda"
    dialect_table = CUDA

    def __init__(
        self,
        load: Callable[[], Any] = libcuda.load,
        find: Callable[[], tuple[Any, str]] = compiler.find,
        products: Callable[..., Any] | None = None,
        solver: Callable[..., Any] | None = None,
        fft: Callable[..., Any] | None = None,
        sparse: Callable[..., Any] | None = None,
    ):
        self._load, self._find, self._products, self._solver, self._fft = load, find, products, solver, fft
        self._sparse = sparse
        self._driver: Any = None
        self._opened: dict[tuple[int, bool], Opened] = {}
        self._lock = Lock()

    def probe(self) -> Probe:
        """The GPUs, or why there is none and what to do."""
        try:
            driver = self._load()
        except ImportError as error:
            return Probe(reason=f"no bindings of CUDA: {error}", remedy="pip install cuda-bindings")
        try:
            version = driver.start()
            count = driver.device_count()
        except CudaError as error:
            if error.code == NO_DEVICE:
                return Probe(reason="the NVIDIA driver finds no GPU", remedy="look at nvidia-smi, CUDA_VISIBLE_DEVICES")
            return Probe(reason=f"the NVIDIA driver does not start: {error}", remedy="look at what nvidia-smi says")
        except RuntimeError as error:  # what the bindings raise when they find no libcuda
            return Probe(reason=f"no NVIDIA driver: {str(error).splitlines()[0]}", remedy=GET_DRIVER)
        if version < OLDEST:
            return Probe(
                reason=f"the NVIDIA driver serves CUDA {_release(version)}, and {_release(OLDEST)} is needed",
                remedy="update it",
            )
        found, why = self._find()
        if found is None:
            return Probe(reason=f"no compiler for kernels: {why}", remedy=compiler.REMEDY)
        if not count:
            return Probe(reason="the NVIDIA driver finds no GPU", remedy="look at nvidia-smi, CUDA_VISIBLE_DEVICES")
        self._driver = driver
        return Probe(devices=tuple(driver.device_name(number) for number in range(count)))

    def without_device(self) -> Opened | None:
        """What compiles programs where no GPU is, for checks of what is generated; None without a compiler."""
        found, _ = self._find()
        return None if found is None else Opened(self.name, Space(absent.device(found)))

    def fingerprint(self) -> str:
        found, why = self._find()
        return found.version if found is not None else why

    def open(self, number: int | None = None) -> Opened:
        """The device of a number, by default the first.  Errors: BackendError when CUDA cannot be used here."""
        key = (0 if number is None else number, bool(config["cuda.deterministic"]))
        with self._lock:
            if key not in self._opened:
                if self._driver is None:
                    found = self.probe()
                    if not found.works:
                        raise BackendError(f"backend 'cuda' cannot be used here: {found}")
                libraries = self._library(), self._decompositions(), self._transforms(), self._tridiagonal()
                device = CudaDevice(self._driver, key[0], self._find()[0], *libraries)
                self._opened[key] = Opened(self.name, Space(device))
            return self._opened[key]

    def compile(self, program: Program, device: Any = None) -> DeviceProgram:
        """Errors: CompileError when the compiler refuses the text; DeviceMemoryError for the constants."""
        return self.open(device).compile(program)

    def _library(self) -> Callable[..., Any] | None:
        if self._products is not None:
            return self._products
        found, _ = cublas.find()
        return None if found is None else lambda stream, number, workspace: cublas.Cublas(number, workspace)

    def _decompositions(self) -> Callable[..., Any] | None:
        if self._solver is not None:
            return self._solver
        found, _ = cusolver.find()
        return None if found is None else lambda stream, number: cusolver.Cusolver(number)

    def _transforms(self) -> Callable[..., Any] | None:
        if self._fft is not None:
            return self._fft
        found, _ = cufft.find()
        return None if found is None else lambda stream, number, allocate: cufft.Cufft(number, allocate)

    def _tridiagonal(self) -> Callable[..., Any] | None:
        if (
            self._sparse is not None or self._solver is not None
        ):  # beside what stands in for a library no real one serves
            return self._sparse
        found, _ = cusparse.find()
        return None if found is None else lambda stream, number: cusparse.Cusparse(number)


def _release(version: int) -> str:
    return f"{version // 1000}.{version % 1000 // 10}"


driver = Driver()

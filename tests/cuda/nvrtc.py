"""NVRTC, the compiler that cupy runs where the GPU is. It needs no GPU, only its library (the test extra brings it)."""

import ctypes
from functools import cache


@cache
def library():
    """libnvrtc, or None where there is none."""
    try:
        from cuda.pathfinder import load_nvidia_dynamic_lib

        return ctypes.CDLL(load_nvidia_dynamic_lib("nvrtc").abs_path)
    except (ImportError, RuntimeError, OSError):  # no cupy, or no NVRTC beside it
        return None


def compiled(text, options):
    """The PTX of a source, with cupy's own options besides these; RuntimeError says what NVRTC says."""
    nvrtc, program = library(), ctypes.c_void_p()
    options = [option.encode() for option in (*options, "-arch=compute_90", "--device-as-default-execution-space")]
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"kernels.cu", 0, None, None)
    try:
        failed = nvrtc.nvrtcCompileProgram(program, len(options), (ctypes.c_char_p * len(options))(*options))
        log = _text(nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog, program)
        if failed or log:
            raise RuntimeError(f"NVRTC: {log}")
        return _text(nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX, program)
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _text(size_of, read, program):
    size = ctypes.c_size_t()
    size_of(program, ctypes.byref(size))
    buffer = ctypes.create_string_buffer(size.value)
    read(program, buffer)
    return buffer.value.decode().strip()

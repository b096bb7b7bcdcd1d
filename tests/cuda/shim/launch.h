// From Python to a kernel: KERNEL(name) gives the shared library two functions, of what types the arguments of the
// kernel are, and to launch it as cuLaunchKernel does, with an array of pointers to its arguments.
#pragma once
#include <csignal>
#include "cuda.h"
#include "tensor.h"

namespace shim {

template <class T> std::string code() {  // as in numpy's dtype.str, a pointer with a * behind it
    if constexpr (std::is_pointer<T>::value) {
        using To = std::remove_const_t<std::remove_pointer_t<T>>;
        if constexpr (std::is_void<To>::value) return "*";
        else return code<To>() + "*";
    } else if constexpr (std::is_same<T, bool>::value) return "b1";
    else if constexpr (std::is_floating_point<T>::value) return "f" + std::to_string(sizeof(T));
    else if constexpr (std::is_integral<T>::value) return (std::is_signed<T>::value ? "i" : "u") + std::to_string(sizeof(T));
    else return "bf16";
}

template <class... A> std::string codes(void (*)(A...)) { return ((code<A>() + " ") + ...); }

template <class... A, size_t... I> void call(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
    kernel(*reinterpret_cast<A*>(arguments[I])...);
}

// What the hardware or the compiler's checks stop at: addresses outside arrays, alignment, an index outside its array.
inline void stopped(int signal) {
    give_up(signal == SIGSEGV || signal == SIGBUS ? "an address outside its array" : "a misaligned address, or an index outside its array");
}

struct Signals {  // handled here while a kernel runs, on a stack of their own
    struct sigaction before[3];
    stack_t stack_before;
    static constexpr int handled[3] = {SIGSEGV, SIGBUS, SIGILL};
    Signals() {
        static char memory[64 << 10];
        stack_t stack = {};
        stack.ss_sp = memory, stack.ss_size = sizeof memory;
        sigaltstack(&stack, &stack_before);
        struct sigaction action = {};
        action.sa_handler = stopped, action.sa_flags = SA_ONSTACK | SA_NODEFER;
        for (int i = 0; i < 3; i++) sigaction(handled[i], &action, &before[i]);
    }
    ~Signals() {
        for (int i = 0; i < 3; i++) sigaction(handled[i], &before[i], nullptr);
        sigaltstack(&stack_before, nullptr);
    }
};

// nullptr, or what went wrong
template <class... A>
const char* launch(void (*kernel)(A...), const unsigned* sizes, size_t shared, void** arguments, unsigned long long seed) {
    gridDim = {sizes[0], sizes[1], sizes[2]}, blockDim = {sizes[3], sizes[4], sizes[5]};
    dynamic_bytes = shared, dice = {seed}, fault.clear();
    body = [=] { call(kernel, arguments, std::index_sequence_for<A...>()); };
    Signals signals;
    run_grid();
    return fault.empty() ? nullptr : fault.c_str();
}

}  // namespace shim

#define EXPORTED extern "C" __attribute__((visibility("default"))) const char*
#define KERNEL(name)                                                                                                  \
    EXPORTED shim_types_##name() {                                                                                    \
        static std::string text = shim::codes(name);                                                                  \
        return text.c_str();                                                                                          \
    }                                                                                                                 \
    EXPORTED shim_launch_##name(const unsigned* sizes, size_t shared, void** arguments, unsigned long long seed) {    \
        return shim::launch(name, sizes, shared, arguments, seed);                                                    \
    }
